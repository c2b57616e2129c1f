// The pencil: a visitor draws lungs and infection anew on the light box. What is drawn goes to the server as two masks of
// as many pixels as the models see, a bit each, once a stroke is done.

const MAX_UNDO = 50;

/** Connect the pencil's tools to the light box. `watch` calls back when the server has a layer of differences. */
export function open(element, props, watch, trigger) {
  const pencil = new Pencil(element.querySelector(".pencil"), (drawn, told = true) => {
    props.value = drawn;
    if (told) trigger("input");
  });
  document.addEventListener("film", () => pencil.take());
  watch("difference", () => props.difference && pencil.viewer?.addLayer(props.difference));
  if (pencil.viewer?.film.picture) pencil.take();
}

class Pencil {
  constructor(box, send) {
    Object.assign(this, { box, send, undone: [], tool: null });
    for (const button of box.querySelectorAll("[data-pencil]")) {
      button.addEventListener("click", () => this.choose(button.dataset.pencil));
    }
    box.querySelector("[data-act=undo]").addEventListener("click", () => this.undo());
    box.querySelector("[data-act=again]").addEventListener("click", () => this.again());
    this.mark();
  }

  get viewer() {
    return document.querySelector(".lightbox")?.viewer;
  }

  /** Take the film that was put on the light box: what is drawn begins with its own masks. */
  take() {
    this.film = this.viewer.film;
    this.undone = [];
    this.first = this.film.layers.map(({ surely }) => surely.greys.slice());
    this.send(null, false);
    this.connect();
    this.mark();
  }

  connect() {
    if (this.view) return;
    this.view = this.film.element.parentElement;
    this.view.addEventListener("pointerdown", (event) => this.start(event), true);
  }

  choose(tool) {
    this.tool = this.tool === tool ? null : tool;
    this.mark();
  }

  /** Say which tool is in use, for eyes and screen readers, and let fingers draw instead of scroll. */
  mark() {
    for (const button of this.box.querySelectorAll("[data-pencil]")) {
      button.setAttribute("aria-pressed", button.dataset.pencil === this.tool);
    }
    const drawable = Boolean(this.film?.layers.length);
    for (const control of this.box.querySelectorAll("button, select, input")) control.disabled = !drawable;
    this.box.querySelector("[data-act=undo]").disabled = !this.undone.length;
    this.viewer?.panzoom.setOptions({ touchAction: this.tool ? "none" : "pan-y" });
    this.view?.classList.toggle("drawing", Boolean(this.tool));
  }

  get layer() {
    const name = this.box.querySelector("[data-choice=mask]").value;
    return this.film.layers.find((layer) => layer.name === name);
  }

  start(event) {
    if (!this.tool || event.button !== 0 || !this.layer) return;
    event.stopPropagation();
    event.preventDefault();
    const { layer } = this;
    this.keepForUndo(layer);
    let last = this.place(event);
    this.draw(layer, last, last);
    const move = (next) => {
      const place = this.place(next);
      this.draw(layer, last, place);
      last = place;
    };
    const end = () => {
      removeEventListener("pointermove", move);
      this.tell();
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", end, { once: true });
    addEventListener("pointercancel", end, { once: true });
  }

  /** Where the pointer is, in shares of the film's sides. */
  place(event) {
    const box = this.film.element.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  /** Draw a line of the chosen width; the mask's pixels may be higher than wide, the line is round on the picture. */
  draw(layer, from, to) {
    const { width, height, greys } = layer.surely;
    const radius = this.box.querySelector("[data-choice=size]").value / 100;
    const { width: across, height: down } = this.film.picture;
    const [right, below] = [radius * width, radius * height * (across / down)];
    const [value, steps] = [this.tool === "draw" ? 255 : 0, Math.ceil(Math.hypot(...to.map((end, i) => end - from[i])) * width) + 1];
    for (let step = 0; step <= steps; step++) {
      const [x, y] = [0, 1].map((i) => (from[i] + ((to[i] - from[i]) * step) / steps) * [width, height][i] - 0.5);
      for (let row = Math.max(0, Math.ceil(y - below)); row <= Math.min(height - 1, y + below); row++) {
        for (let column = Math.max(0, Math.ceil(x - right)); column <= Math.min(width - 1, x + right); column++) {
          const [dx, dy] = [(column - x) / right, (row - y) / below];
          if (dx * dx + dy * dy <= 1) greys[row * width + column] = value;
        }
      }
    }
    this.film.redraw(layer);
  }

  keepForUndo(layer) {
    this.undone.push([layer, layer.surely.greys.slice()]);
    if (this.undone.length > MAX_UNDO) this.undone.shift();
    this.mark();
  }

  undo() {
    const [layer, greys] = this.undone.pop() ?? [];
    if (!layer) return;
    layer.surely.greys.set(greys);
    this.film.redraw(layer);
    this.mark();
    this.tell();
  }

  /** Go back to the masks that the network drew. */
  again() {
    this.film.layers.slice(0, this.first.length).forEach((layer, at) => {
      layer.surely.greys.set(this.first[at]);
      this.film.redraw(layer);
    });
    this.undone = [];
    this.mark();
    this.send(null);
  }

  /** Tell the server what is drawn: each mask's pixels from its first row on, eight a byte, in base64. */
  tell() {
    const drawn = {};
    for (const { name, inside, surely } of this.film.layers.slice(0, this.first.length)) {
      const bytes = new Uint8Array(Math.ceil(surely.greys.length / 8));
      surely.greys.forEach((grey, at) => (bytes[at >> 3] |= (grey >= inside) << (7 - (at & 7))));
      drawn[name] = btoa(String.fromCharCode(...bytes));
    }
    this.send(drawn);
  }
}
