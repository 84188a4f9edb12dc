// The tree's filter, and the chat: every column is asked at once and its answer shown as it comes.
// What models say is put in as text, never as markup.

const STEERING = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** What would turn or steer a line is spelled out, as everywhere else that bgit shows text. */
function harmless(text) {
  return text.replaceAll("\r\n", "\n").replace(STEERING, (sign) => {
    const code = sign.charCodeAt(0);
    return code < 256 ? `\\x${code.toString(16).padStart(2, "0")}`
      : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

const byId = (id) => document.getElementById(id);

// The tree

function filterTree() {
  const field = byId("filter");
  if (!field) return;
  const rows = [...document.querySelectorAll("#tree .row")];
  const folds = [...document.querySelectorAll("#tree details")];
  const shown = byId("shown"), all = shown.textContent;
  const show = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    const kept = new Set();
    for (const row of rows) {
      const own = row.dataset.words.toLowerCase();
      const fits = words.every((word) => own.includes(word));
      row.hidden = !fits;
      if (!fits) continue;
      count += row.parentElement.classList.contains("base") ? 0 : 1;
      for (let at = row; at && at.id !== "tree"; at = at.parentElement) kept.add(at);
    }
    for (const item of document.querySelectorAll("#tree li")) item.hidden = !kept.has(item);
    byId("tree").classList.toggle("filtered", words.length > 0);
    for (const fold of folds) fold.open = words.length > 0 && kept.has(fold);
    shown.textContent = words.length ? `${count} of ${all}` : all;
  };
  field.addEventListener("input", show);
  if (field.value) show(); // a browser keeps it when it comes back
}

// The chat

/** Yields what a stream of events says, one parsed chunk after the other. */
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += value;
    const parts = rest.split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const data = part.startsWith("data: ") ? part.slice(6) : "";
      if (data && data !== "[DONE]") yield JSON.parse(data);
    }
  }
}

/** Asks a model; `say` is told the text so far. Returns what was used. */
async function ask(model, messages, signal, say) {
  const response = await fetch("/v1/chat/completions", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    signal,
    body: JSON.stringify({
      model, messages, stream: true, stream_options: { include_usage: true },
      temperature: Number(byId("temperature").value), max_tokens: Number(byId("tokens").value) || 256,
    }),
  });
  if (!response.ok) {
    const told = await response.json().catch(() => null);
    throw new Error(told?.error?.message ?? `The server answered ${response.status}.`);
  }
  let text = "", usage = null, end = "";
  for await (const chunk of events(response)) {
    if (chunk.error) throw new Error(chunk.error.message);
    usage = chunk.usage ?? usage;
    const choice = chunk.choices?.[0];
    text += choice?.delta?.content ?? "";
    end = choice?.finish_reason ?? end;
    say(text);
  }
  return { usage, end };
}

const SOON_MS = 200;

/** One model of the chat, with its own side of the conversation. */
class Column {
  constructor(head, place) {
    this.head = head;
    this.place = place;
    this.role = head.dataset.role;
    this.first = JSON.parse(head.dataset.first);
    this.slider = head.querySelector("input[type=range]");
    this.choice = head.querySelector("select");
    this.stopping = null; // what stops its answer; null: it gives none
    this.running = null;
    this.latest = null;
  }

  /** Begins an answer in place of the one that is under way; of two asked for at once, the last. */
  async start(hear) {
    const mine = {};
    this.latest = mine;
    this.stopping?.abort();
    await this.running;
    if (this.latest !== mine) return;
    this.stopping = new AbortController();
    this.running = hear(this.stopping.signal);
    await this.running;
    if (this.latest === mine) this.stopping = null;
  }

  get strength() {
    return this.slider ? Number(this.slider.value) : null;
  }

  get model() {
    const name = this.choice ? this.choice.value : this.head.dataset.model;
    return this.strength === null ? name : `${name}:${this.strength}`;
  }

  /** What is sent for a turn: what comes first, then the turns before it that were answered. */
  messages(turns, turn) {
    const said = turns.slice(0, turns.indexOf(turn)).filter((one) => one.texts[this.place]);
    return [
      ...this.first,
      ...said.flatMap((one) => [
        { role: "user", content: one.question },
        { role: "assistant", content: one.texts[this.place] },
      ]),
      { role: "user", content: turn.question },
    ];
  }
}

class Chat {
  constructor(root) {
    this.turns = [];
    this.columns = [...root.querySelectorAll(".head")].map((head, at) => new Column(head, at));
    this.field = byId("question");
    byId("ask").addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    this.field.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        this.send();
      }
    });
    byId("stop").addEventListener("click", () => this.stop());
    byId("anew").addEventListener("click", () => this.anew());
    for (const column of this.columns) this.listen(column);
  }

  listen(column) {
    const again = () => this.again(column);
    column.choice?.addEventListener("change", again);
    column.slider?.addEventListener("input", () => {
      column.head.querySelector("output").textContent = column.strength.toFixed(2);
    });
    column.slider?.addEventListener("change", again);
  }

  async send() {
    const question = this.field.value.trim();
    if (!question || this.isBusy) return;
    for (const column of this.columns) clearTimeout(column.soon);
    this.field.value = "";
    byId("empty").hidden = true;
    const turn = { question, texts: [], cells: [] };
    this.turns.push(turn);
    this.draw(turn);
    await this.answer(turn, this.columns);
    const is_refused = turn.cells.every((cell) => cell.classList.contains("failed"));
    if (is_refused && !this.field.value) this.field.value = question; // to be sent again, mended
    this.field.focus({ preventScroll: true });
  }

  get isBusy() {
    return this.columns.some((column) => column.stopping);
  }

  /** Has the last turn answered anew by a column whose model is another now. */
  again(column) {
    clearTimeout(column.soon); // keys move a slider step by step
    column.soon = setTimeout(() => {
      const turn = this.turns.at(-1);
      if (turn) this.answer(turn, [column]);
    }, SOON_MS);
  }

  stop() {
    for (const column of this.columns) column.stopping?.abort();
  }

  anew() {
    this.stop();
    this.turns = [];
    byId("turns").replaceChildren();
    byId("empty").hidden = false;
    this.field.focus({ preventScroll: true });
  }

  async answer(turn, columns) {
    const heard = columns.map((column) =>
      column.start((signal) => this.hear(turn, column, signal)));
    this.showBusy(true);
    await Promise.all(heard);
    if (this.isBusy) return; // another answer is awaited
    this.showBusy(false);
    this.judge(turn);
  }

  showBusy(is_busy) {
    byId("send").hidden = is_busy;
    byId("stop").hidden = !is_busy;
  }

  async hear(turn, column, signal) {
    const cell = turn.cells[column.place], said = cell.querySelector(".said");
    const figures = cell.querySelector(".figures"), began = performance.now();
    const strength = column.strength;
    let first = null;
    turn.texts[column.place] = "";
    said.textContent = "";
    figures.textContent = "";
    cell.querySelector(".about .chip")?.remove();
    cell.classList.remove("failed");
    cell.setAttribute("aria-busy", "true");
    try {
      const messages = column.messages(this.turns, turn);
      const { usage, end } = await ask(column.model, messages, signal, (text) => {
        if (text && first === null) first = (performance.now() - began) / 1000;
        turn.texts[column.place] = text;
        const follows = atEnd();
        said.textContent = harmless(text);
        if (follows) toEnd();
      });
      figures.textContent = [
        strength === null ? "" : `at ${strength.toFixed(2)}`,
        usage ? `${usage.prompt_tokens} tokens in, ${usage.completion_tokens} out` : "",
        first === null ? "" : `${first.toFixed(2)} s`,
        end === "length" ? "cut" : "",
      ].filter(Boolean).join(" · ");
      if (!turn.texts[column.place]) said.textContent = "(nothing)";
    } catch (error) {
      if (error.name === "AbortError") {
        figures.textContent = "stopped";
      } else {
        turn.texts[column.place] = "";
        said.textContent = harmless(error.message);
        cell.classList.add("failed");
      }
    } finally {
      cell.setAttribute("aria-busy", "false");
    }
  }

  /** Says of the baked answer whether it is the prompted one, word for word. */
  judge(turn) {
    const at = (role) => this.columns.findIndex((column) => column.role === role);
    const [prompted, baked] = [at("prompted"), at("baked")];
    if (prompted < 0 || !turn.texts[prompted] || !turn.texts[baked]) return;
    const about = turn.cells[baked].querySelector(".about");
    about.querySelector(".chip")?.remove();
    const chip = document.createElement("span");
    const is_same = turn.texts[prompted].trim() === turn.texts[baked].trim();
    chip.className = `chip ${is_same ? "good" : "part"}`;
    chip.textContent = is_same ? "as prompted" : "not as prompted";
    about.append(chip);
  }

  draw(turn) {
    const drawn = byId("turn").content.cloneNode(true);
    drawn.querySelector(".question").textContent = harmless(turn.question);
    const answers = drawn.querySelector(".answers");
    for (const column of this.columns) {
      const cell = byId("answer").content.cloneNode(true).firstElementChild;
      cell.classList.add(`c${column.place}`, column.role);
      cell.querySelector("h3").textContent = column.role;
      answers.append(cell);
      turn.cells.push(cell);
    }
    byId("turns").append(drawn);
    toEnd();
  }
}

const page = document.documentElement;
const atEnd = () => page.scrollHeight - page.clientHeight - page.scrollTop < 80;
const toEnd = () => window.scrollTo(0, page.scrollHeight);

filterTree();
const talk = byId("talk");
if (talk) {
  new Chat(talk);
  if (matchMedia("(pointer: fine)").matches) byId("question").focus({ preventScroll: true });
}
