"""Train the embedded chat model `tiny-1` from nothing, or examine the one that is there.

python tools/train_tiny.py --minutes 50 --out src/bakery/tiny --work build/tiny [--resume]
python tools/train_tiny.py --eval-only
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

# One thread a process: two ranks share the machine without waiting for each other's threads.
os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).parent))


def main() -> None:
    args = _arguments()
    out, work = Path(args.out), Path(args.work).resolve()
    progress = None
    if not args.eval_only:
        if not args.export_only:
            _train(args, work)
        from tinyworld.export import export

        progress = export(work / args.checkpoint, work / "tokenizer.json", out)
    if args.no_eval:
        return
    from tinyworld.evaluate import evaluate
    from tinyworld.exam import SCORES_HEADING

    scores = evaluate(out, num=args.num, seed=args.seed)
    print(scores)
    if progress is not None or args.write_card:
        from tinyworld.card import write_card

        write_card(out, scores, progress, heading=SCORES_HEADING)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=50.0, help="time for the steps alone")
    parser.add_argument("--out", default="src/bakery/tiny")
    parser.add_argument("--work", default="build/tiny", help="checkpoints and caches")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--vocab", type=int, default=2048)
    parser.add_argument("--num", type=int, default=240, help="exam questions per score")
    parser.add_argument("--checkpoint", default="last.pt", help="which checkpoint to export")
    parser.add_argument("--eval-only", action="store_true", help="examine the model in --out")
    parser.add_argument("--export-only", action="store_true", help="export without training")
    parser.add_argument("--no-eval", action="store_true")
    parser.add_argument("--write-card", action="store_true", help="renew the card's scores")
    return parser.parse_args()


def _train(args: argparse.Namespace, work: Path) -> None:
    import torch.multiprocessing as mp

    from tinyworld import tokenizer, training

    work.mkdir(parents=True, exist_ok=True)
    (work / "rendezvous").unlink(missing_ok=True)
    path = work / "tokenizer.json"
    if not (args.resume and path.exists()):
        tokenizer.train(args.vocab, args.seed).save(str(path))
    settings = training.Settings(work, args.minutes, seed=args.seed, resume=args.resume)
    mp.spawn(training.train, (settings,), nprocs=settings.ranks)


if __name__ == "__main__":
    main()
