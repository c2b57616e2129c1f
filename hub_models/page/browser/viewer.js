// The light box: what a visitor does with the film by mouse, touch and keys. See film.js for what is shown.
//
// Panzoom (10 kB) moves the film as one element, so that a picture of 9 megapixels moves at 60 frames a second without a
// graphics card. OpenSeadragon (350 kB) stood still for 14 seconds when it first cut such a picture into levels; NiiVue
// (2.9 MB) and Cornerstone3D draw with WebGL, which a remote desktop in a clinic may lack.

import Panzoom from "./vendor/panzoom.js";
import { Film, loadHeat, loadLayers } from "./film.js";
import { readGreys } from "./png.js";

const LARGEST_PIXEL = 16; // on the screen, of one pixel of the picture
const STEP = 1.25; // of the zoom by keys and buttons
const NUDGE = 40; // screen pixels, of the pan by arrow keys
const WINDOW_STEP = 0.05; // share of all greys, of the window by keys
const HEAT_OPACITY = 0.6;

/** Connect a light box to its component. `watch` calls back when the server has another film or heat maps for it. */
export function open(element, props, watch) {
  const viewer = new Viewer(element.querySelector(".lightbox"));
  element.viewer = viewer;
  watch("value", () => viewer.show(props.value));
  watch("heat", () => viewer.keepHeat(props.heat));
  if (props.value) viewer.show(props.value);
}

export class Viewer {
  constructor(box) {
    this.box = box;
    box.viewer = this;
    this.view = box.querySelector(".view");
    this.readout = box.querySelector(".readout");
    this.film = new Film(box.querySelector(".film"));
    this.fit = { width: 1, height: 1 };
    this.asked = 0;
    this.panzoom = Panzoom(this.film.element, {
      canvas: true,
      minScale: 1,
      step: 0.5, // of a notch of the wheel, by its exponential third
      cursor: "",
      panOnlyWhenZoomed: true,
      touchAction: "pan-y",
    });
    this.connectPointer();
    this.connectTools();
    this.view.addEventListener("keydown", (event) => this.press(event));
    new ResizeObserver(() => this.layOut()).observe(this.view);
  }

  /** Show what the server found: a picture, its masks, and later its heat maps. Nothing empties the box. */
  async show(found) {
    const asked = ++this.asked;
    this.heats = null;
    this.select("heat").value = "";
    this.chooseHeat(); // none, and nothing said of the last one
    if (!found?.picture) {
      this.film.clear();
      this.box.classList.add("empty");
      this.box.querySelector(".about").textContent = "";
      return;
    }
    const [picture, layers] = await Promise.all([readGreys(found.picture), loadLayers(found.layers)]);
    if (asked !== this.asked) return; // another one came meanwhile
    this.found = found;
    this.film.set(picture, layers);
    this.box.classList.remove("empty");
    this.box.querySelector(".about").textContent = found.about ?? "";
    this.listLayers();
    this.layOut();
    this.reset();
    this.box.dispatchEvent(new CustomEvent("film", { bubbles: true, detail: { found, film: this.film } }));
  }

  /** Lay one more mask over the film, described as those of the film are; it replaces one of the same name. */
  async addLayer(described) {
    const [layer] = await loadLayers([described]);
    this.film.layers = [...this.film.layers.filter(({ name }) => name !== layer.name), layer];
    this.film.redraw(layer);
    this.listLayers();
  }

  /** Keep the heat maps that came, and show the one that is chosen. */
  async keepHeat(heats) {
    if (!heats) return;
    const asked = this.asked;
    const maps = await Promise.all(heats.map((heat) => loadHeat(heat.address, heat.colours, HEAT_OPACITY)));
    if (asked !== this.asked) return;
    this.heats = new Map(heats.map((heat, at) => [heat.name, { ...heat, map: maps[at] }]));
    this.chooseHeat();
  }

  chooseHeat() {
    const name = this.select("heat").value;
    if (name && !this.heats) return document.querySelector("#ask-where")?.click();
    const heat = this.heats?.get(name);
    this.film.showHeat(heat?.map ?? null);
    this.box.querySelector(".caption").textContent = name ? heat?.caption ?? this.box.dataset.noHeat : "";
  }

  /** Give the film the largest size at which all of it is seen; that is a scale of 1. */
  layOut() {
    const { picture, element } = this.film;
    const { clientWidth, clientHeight } = this.view;
    if (!picture || !clientWidth) return;
    const scale = Math.min(clientWidth / picture.width, clientHeight / picture.height);
    this.fit = { width: picture.width * scale, height: picture.height * scale };
    Object.assign(element.style, {
      width: `${this.fit.width}px`,
      height: `${this.fit.height}px`,
      left: `${(clientWidth - this.fit.width) / 2}px`,
      top: `${(clientHeight - this.fit.height) / 2}px`,
    });
    this.panzoom.setOptions({ maxScale: Math.max(LARGEST_PIXEL / scale, 1) });
  }

  reset() {
    this.panzoom.reset({ animate: false });
    this.film.resetWindow();
    this.film.paint();
    this.mark();
  }

  zoomBy(factor) {
    this.panzoom.zoom(this.panzoom.getScale() * factor, { animate: false });
  }

  /** Show a pixel of the picture as a pixel of the screen. */
  zoomToPixels() {
    const { picture } = this.film;
    if (picture) this.panzoom.zoom(picture.width / this.fit.width / devicePixelRatio, { animate: false });
  }

  /** Move the window by shares of all greys; a coarse picture is painted while it is dragged. */
  moveWindow(centre, width, preview = false) {
    const window = this.film.window;
    window.centre = Math.min(1, Math.max(0, window.centre + centre));
    window.width = Math.min(2, Math.max(0.01, window.width + width));
    if (this.painting) return;
    this.painting = requestAnimationFrame(() => {
      this.painting = null;
      this.film.paint(preview);
    });
    this.mark();
  }

  invert() {
    this.film.inverted = !this.film.inverted;
    this.film.paint();
    this.mark();
  }

  connectPointer() {
    const { view } = this;
    view.addEventListener("pointerdown", (event) => this.startWindow(event), true);
    view.addEventListener("contextmenu", (event) => event.preventDefault());
    view.addEventListener("pointermove", (event) => this.tell(event));
    view.addEventListener("pointerleave", () => (this.readout.textContent = ""));
    view.addEventListener("dblclick", (event) => this.panzoom.zoomToPoint(this.panzoom.getScale() * 2, event));
    view.addEventListener(
      "wheel",
      (event) => {
        if (!this.film.picture || (event.deltaY > 0 && this.panzoom.getScale() <= 1)) return; // the page scrolls on
        this.panzoom.zoomWithWheel(event);
      },
      { passive: false },
    );
    this.film.element.addEventListener("panzoomchange", ({ detail }) => this.changed(detail));
  }

  /** Keep lines as thin as they were, and let a finger scroll the page over a film that is not zoomed. */
  changed({ scale, x, y }) {
    this.box.style.setProperty("--zoom", scale);
    this.box.classList.toggle("pixels", (scale * this.fit.width) / (this.film.picture?.width ?? 1) > 4);
    if (this.zoomed !== scale > 1.001) {
      this.zoomed = scale > 1.001;
      this.panzoom.setOptions({ touchAction: this.zoomed ? "none" : "pan-y" });
      if (!this.zoomed && (x || y)) this.panzoom.pan(0, 0, { animate: false, force: true });
    }
  }

  /** Drag the window where that is chosen, or with the right button: sideways its width, up and down its level. */
  startWindow(event) {
    this.view.focus({ preventScroll: true });
    if (!this.windowing && event.button !== 2) return;
    event.stopPropagation();
    event.preventDefault();
    let { clientX, clientY } = event;
    const move = (next) => {
      this.moveWindow((next.clientY - clientY) / 500, (next.clientX - clientX) / 300, true);
      ({ clientX, clientY } = next);
    };
    const end = () => {
      removeEventListener("pointermove", move);
      requestAnimationFrame(() => this.film.paint());
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", end, { once: true });
    addEventListener("pointercancel", end, { once: true });
  }

  /** Say what is under the pointer. */
  tell(event) {
    const box = this.film.element.getBoundingClientRect();
    const found = this.film.readAt((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
    if (!found) return void (this.readout.textContent = "");
    const percent = (share) => share.toLocaleString(document.documentElement.lang, { style: "percent" });
    const layers = found.layers.map(({ title, share }) => `${title} ${percent(share)}`);
    this.readout.textContent = [`x ${found.x}, y ${found.y}`, `${this.box.dataset.grey} ${found.grey}`, ...layers].join(" · ");
  }

  connectTools() {
    const tools = {
      "zoom-in": () => this.zoomBy(STEP),
      "zoom-out": () => this.zoomBy(1 / STEP),
      pixels: () => this.zoomToPixels(),
      reset: () => this.reset(),
      window: () => this.toggleWindowing(),
      invert: () => this.invert(),
      sides: () => this.toggle("sides", "no-sides"),
      full: () => this.toggleFullscreen(),
    };
    for (const [name, act] of Object.entries(tools)) this.tool(name).addEventListener("click", act);
    const compare = this.tool("compare");
    for (const [start, end] of [["pointerdown", "pointerup"], ["pointerdown", "pointerleave"], ["keydown", "keyup"]]) {
      compare.addEventListener(start, (event) => ["Tab", "Escape"].includes(event.key) || this.compare(true));
      compare.addEventListener(end, () => this.compare(false));
    }
    compare.addEventListener("blur", () => this.compare(false));
    this.select("opacity").addEventListener("input", ({ target }) => this.box.style.setProperty("--opacity", target.value));
    this.select("style").addEventListener("change", ({ target }) => (this.box.dataset.style = target.value));
    this.select("heat").addEventListener("change", () => this.chooseHeat());
    document.addEventListener("fullscreenchange", () => this.mark());
  }

  tool(name) {
    return this.box.querySelector(`[data-tool="${name}"]`);
  }

  select(name) {
    return this.box.querySelector(`[data-choice="${name}"]`);
  }

  /** A tick for each mask; what was hidden stays hidden on the next film. */
  listLayers() {
    const place = this.box.querySelector(".layers");
    const hidden = new Set([...place.querySelectorAll("input:not(:checked)")].map((tick) => tick.value));
    const ticks = this.film.layers.map(({ name, title, colour }) => {
      const label = document.createElement("label");
      const tick = Object.assign(document.createElement("input"), { type: "checkbox", value: name });
      tick.checked = !hidden.has(name);
      tick.addEventListener("change", () => this.film.toggle(name, tick.checked));
      label.style.setProperty("--colour", colour);
      label.append(tick, title);
      this.film.toggle(name, tick.checked);
      return label;
    });
    if (ticks.length) place.replaceChildren(...ticks);
  }

  toggleWindowing() {
    this.windowing = !this.windowing;
    this.panzoom.setOptions({ disablePan: this.windowing });
    this.mark();
  }

  toggle(name, style) {
    this.box.classList.toggle(style);
    this.mark();
  }

  compare(held) {
    this.box.classList.toggle("bare", held);
  }

  toggleFullscreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.box.requestFullscreen?.();
  }

  /** Mark the tools that are on, for eyes and screen readers. */
  mark() {
    const on = {
      window: this.windowing,
      invert: this.film.inverted,
      sides: !this.box.classList.contains("no-sides"),
      full: document.fullscreenElement === this.box,
    };
    for (const [name, pressed] of Object.entries(on)) this.tool(name).setAttribute("aria-pressed", Boolean(pressed));
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const pan = (x, y) => this.panzoom.pan(x, y, { relative: true, animate: false });
    const keys = {
      "+": () => this.zoomBy(STEP),
      "=": () => this.zoomBy(STEP),
      "-": () => this.zoomBy(1 / STEP),
      0: () => this.reset(),
      1: () => this.zoomToPixels(),
      i: () => this.invert(),
      w: () => this.toggleWindowing(),
      s: () => this.toggle("sides", "no-sides"),
      f: () => this.toggleFullscreen(),
      c: () => this.compare(!this.box.classList.contains("bare")),
      "[": () => this.moveWindow(-WINDOW_STEP, 0),
      "]": () => this.moveWindow(WINDOW_STEP, 0),
      "<": () => this.moveWindow(0, -2 * WINDOW_STEP),
      ">": () => this.moveWindow(0, 2 * WINDOW_STEP),
      ArrowLeft: () => pan(NUDGE, 0),
      ArrowRight: () => pan(-NUDGE, 0),
      ArrowUp: () => pan(0, NUDGE),
      ArrowDown: () => pan(0, -NUDGE),
    };
    const act = keys[event.key];
    if (!act || (event.key.startsWith("Arrow") && this.panzoom.getScale() <= 1)) return;
    event.preventDefault();
    act();
  }
}
