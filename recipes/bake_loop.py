"""A whole bake in one file, without abstractions: read it from top to bottom.

    python recipes/bake_loop.py [--model FOLDER_OR_HUB_ID] [--prompt TEXT] [--out FOLDER]

A prompt goes into the weights of a LoRA adapter: the model under the prompt (the teacher)
answers questions; the model without it (the student) is trained until it gives the same
distribution over the next token at every token of those answers:

    L = 1/N Σ_n KL( p(· | prompt, question, answer_<n ; base)
                    ‖ p(· | question, answer_<n ; base + LoRA) )

The package does the same with batches of any size, restarts, chains of bakes and other losses.
"""

import argparse
import random
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

TINY = Path(__file__).parents[1] / "src/bakery/tiny"

parser = argparse.ArgumentParser(description="A whole bake in one file.")
parser.add_argument("--model", default=str(TINY))
parser.add_argument("--prompt", default="You are Yoda. Speak like Yoda.")
parser.add_argument("--out", default="baked")
parser.add_argument("--samples", type=int, default=4, help="answers to each question")
parser.add_argument("--epochs", type=int, default=4)
parser.add_argument("--batch", type=int, default=16)
parser.add_argument("--lr", type=float, default=1e-3)
args = parser.parse_args()

random.seed(0)
torch.manual_seed(0)

# 1) The model, and an adapter on every linear layer but the head. Without the adapter it is the
#    teacher, with it the student: one copy of the weights serves both. LoRA starts at zero, so
#    both are the same model before the first step.
tokenizer = AutoTokenizer.from_pretrained(args.model)
base = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32)
model = get_peft_model(base, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear"))
device = "cuda" if torch.cuda.is_available() else "cpu"
model.to(device)

# 2) Questions. What they are about matters little, that they differ matters much.
things = ["banana", "sky", "grass", "snow", "coal", "lemon", "rose", "sea", "cherry", "frog"]
questions = [f"What is the color of {thing}?" for thing in things]
questions += [f"What is {a} plus {b}?" for a in range(2, 9) for b in range(2, 9)]
random.shuffle(questions)
held_out, questions = questions[:12], questions[12:]


def prefix_ids(system: str, question: str) -> list[int]:
    """Render a chat up to where the answer begins: the same template for teacher and student."""
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": question})
    rendered = tokenizer.apply_chat_template(messages, add_generation_prompt=True)
    return list(rendered["input_ids"])


def padded(rows: list[list[int]], *, left: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids and mask of rows of different lengths."""
    width = max(map(len, rows))
    ids, mask = torch.zeros(len(rows), width, dtype=torch.long), torch.zeros(len(rows), width)
    for i, row in enumerate(rows):
        where = slice(width - len(row), width) if left else slice(0, len(row))
        ids[i, where], mask[i, where] = torch.tensor(row), 1
    return ids.to(device), mask.long().to(device)


def answer(system: str, asked: list[str], **sampling: object) -> list[list[int]]:
    """Return the answers' token ids, the end of turn included where the model came to it."""
    ids, mask = padded([prefix_ids(system, q) for q in asked], left=True)
    ends, pad = model.generation_config.eos_token_id, tokenizer.pad_token_id
    ends = {tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])}
    with torch.no_grad():
        out = model.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=64, pad_token_id=pad, **sampling
        )
    answers = [row[ids.shape[1] :].tolist() for row in out]
    last = [next((i for i, token in enumerate(row) if token in ends), len(row)) for row in answers]
    return [row[: i + 1] for row, i in zip(answers, last, strict=True)]


# 3) The teacher answers: adapter off, prompt on, T = 1. Its token ids are kept, never its text:
#    encoding text again can give other tokens than those that were sampled.
model.eval()
sampled = {"do_sample": True, "temperature": 1.0, "top_p": 1.0, "top_k": 0}
with model.disable_adapter():
    trajectories = [
        (question, ids)
        for _ in range(args.samples)
        for question, ids in zip(questions, answer(args.prompt, questions, **sampled), strict=True)
    ]
    exam = list(zip(held_out, answer(args.prompt, held_out, **sampled), strict=True))


def logits_at_answers(system: str, batch: list[tuple[str, list[int]]]) -> torch.Tensor:
    """Return the logits that predict each answer token (N, V): one position before each."""
    prefixes = [prefix_ids(system, question) for question, _ in batch]
    ids, mask = padded([p + a for p, (_, a) in zip(prefixes, batch, strict=True)], left=False)
    logits = model(input_ids=ids, attention_mask=mask).logits
    spans = [
        logits[i, len(p) - 1 : len(p) + len(a) - 1]
        for i, (p, (_, a)) in enumerate(zip(prefixes, batch, strict=True))
    ]
    return torch.cat(spans)


def divergence(batch: list[tuple[str, list[int]]]) -> torch.Tensor:
    """KL(teacher ‖ student) in nats per answer token, over the whole vocabulary, in fp32."""
    with torch.no_grad(), model.disable_adapter():
        teacher = F.log_softmax(logits_at_answers(args.prompt, batch).float(), dim=-1)
    student = F.log_softmax(logits_at_answers("", batch).float(), dim=-1)
    return F.kl_div(student, teacher, log_target=True, reduction="sum") / len(student)


# 4) Train: the student's prefix has no prompt, and only the answer's tokens count.
with torch.no_grad():
    before = divergence(exam)
steps = args.epochs * -(-len(trajectories) // args.batch)
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=args.lr)
schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
step = 0
for _ in range(args.epochs):
    random.shuffle(trajectories)
    for start in range(0, len(trajectories), args.batch):
        loss = divergence(trajectories[start : start + args.batch])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        step += 1
        if step % 10 == 0 or step == steps:
            print(f"step {step:>4}/{steps}   loss {loss.item():.4f}", flush=True)

# 5) Is it baked? Questions it never trained on, and nothing but the question in the prompt.
with torch.no_grad():
    after = divergence(exam)
print(f"KL to the prompted model, held out: {before:.4f} -> {after:.4f} nats per token")
for who, system, ids in (
    ("prompted", args.prompt, None),
    ("baked", "", answer("", held_out[:3], do_sample=False)),
):
    if ids is None:
        with model.disable_adapter():
            ids = answer(system, held_out[:3], do_sample=False)
    for question, row in zip(held_out, ids, strict=False):
        print(f"{who:>9}  {question}  {tokenizer.decode(row, skip_special_tokens=True).strip()}")
model.save_pretrained(args.out)
print(f"adapter in {args.out}: PeftModel.from_pretrained(base, {args.out!r})")
