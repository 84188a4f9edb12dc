"""Train the embedded chat model `tiny-1` from nothing, or examine the one that is there.

python tools/train_tiny.py --work build/tiny [--minutes 30] [--resume]
python tools/train_tiny.py --eval-only

With --minutes a sitting ends early; --resume goes on at the same step, with the same result.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# One thread a process: two ranks share the machine without waiting for each other's threads.
os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).parent))
STEPS = 7000


def main() -> None:
    args = _arguments()
    out, work = Path(args.out), Path(args.work).resolve()
    if args.export_only and not (work / args.checkpoint).is_file():
        sys.exit(f"there is no {args.checkpoint} in {work}: train first, or name another --work")
    if args.eval_only and not (out / "config.json").is_file():
        sys.exit(f"{out} holds no model to examine")
    if not (args.eval_only or args.export_only or _train(args, work)):
        print("not finished: run it again with --resume")
        return
    if not args.eval_only:
        from tinyworld.export import export

        export(work / args.checkpoint, work / "tokenizer.json", out)
    if args.no_eval:
        return
    from tinyworld.evaluate import evaluate

    scores = evaluate(out, num=args.num, seed=args.seed)
    if not args.eval_only or args.write_card:
        from tinyworld.card import write_card

        write_card(out, scores, None if args.eval_only else work)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--steps", type=_positive, default=STEPS, help="length of the whole run")
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="end this sitting early, between two steps"
    )
    parser.add_argument(
        "--out", default="src/bakery/tiny", help="folder of the model, written over at the end"
    )
    parser.add_argument("--work", default="build/tiny", help="checkpoints and caches")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--seed", type=int, default=0, help="of weights, chats and exam")
    parser.add_argument("--vocab", type=_positive, default=2048, help="size of the tokenizer")
    parser.add_argument("--num", type=_positive, default=400, help="exam questions per score")
    parser.add_argument("--checkpoint", default="last.pt", help="which checkpoint to export")
    parser.add_argument("--eval-only", action="store_true", help="examine the model in --out")
    parser.add_argument("--export-only", action="store_true", help="export without training")
    parser.add_argument("--no-eval", action="store_true", help="export without the exam")
    parser.add_argument(
        "--write-card", action="store_true", help="with --eval-only: renew the card"
    )
    return parser.parse_args()


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"has to be at least 1, got {number}")
    return number


@contextmanager
def _alone(work: Path) -> Iterator[None]:
    """Keep another training out of the folder."""
    from filelock import FileLock, Timeout

    lock = FileLock(work / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        sys.exit(f"another training works in {work}")
    try:
        yield
    finally:
        lock.release()


def _train(args: argparse.Namespace, work: Path) -> bool:
    """Train for this sitting; say whether the whole run is done."""
    import torch
    import torch.multiprocessing as mp

    from tinyworld import tokenizer, training
    from tinyworld.model import Shape

    work.mkdir(parents=True, exist_ok=True)
    path, last = work / "tokenizer.json", work / "last.pt"
    if last.exists() and not args.resume:
        sys.exit(f"{work} holds a training: --resume goes on with it, --work names another folder")
    with _alone(work):
        (work / "rendezvous").unlink(missing_ok=True)
        if not (args.resume and path.exists()):
            (work / "log.jsonl").unlink(missing_ok=True)
            tokenizer.train(args.vocab, args.seed).save(str(path.with_suffix(".partial")))
            path.with_suffix(".partial").replace(path)
        settings = training.Settings(
            work,
            args.steps,
            args.minutes,
            seed=args.seed,
            resume=args.resume,
            shape=Shape(vocab=args.vocab),
        )
        training.check(settings)
        print("compiling: the first steps take minutes", flush=True)
        mp.spawn(training.train, (settings,), nprocs=settings.ranks)  # type: ignore[attr-defined]  # a star import
    state = torch.load(last, weights_only=True)
    return state["progress"]["step"] >= args.steps


if __name__ == "__main__":
    main()
