// The last X-rays of this visit. They stay in the memory of this page alone, and go when it is closed.

const MOST = 10;
const THUMBNAIL_SIDE = 104; // pixels
const PAIR_SIDE = 900; // pixels, of each of two that are compared

/** Connect the strip to its component; it triggers 'select' with the path of an X-ray that is opened again. */
export function open(element, props, watch, trigger) {
  const strip = new Strip(element.querySelector(".visit"), (path) => trigger("select", { path }));
  document.addEventListener("film", ({ detail }) => strip.add(detail.found, detail.film));
}

class Strip {
  constructor(part, openAgain) {
    this.part = part;
    this.list = part.querySelector("ol");
    this.dialog = part.querySelector("dialog");
    this.openAgain = openAgain;
    this.films = [];
    this.dialog.querySelector(".close").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("close", () => this.untick());
  }

  /** Note a film that is shown; one that is opened again is not noted twice. */
  add(found, film) {
    if (!found.path) return;
    let known = this.films.find(({ path }) => path === found.path);
    if (!known) {
      known = { path: found.path, share: found.share, small: picture(film, THUMBNAIL_SIDE), large: picture(film, PAIR_SIDE) };
      this.films = [known, ...this.films].slice(0, MOST);
    }
    this.show(known);
  }

  show(current) {
    this.part.hidden = false;
    this.list.replaceChildren(...this.films.map((film, at) => this.item(film, at, film === current)));
  }

  item(film, at, current) {
    const item = document.createElement("li");
    item.setAttribute("aria-current", current);
    const button = Object.assign(document.createElement("button"), { type: "button" });
    const name = `${this.part.dataset.open} ${this.films.length - at}`;
    button.setAttribute("aria-label", name);
    button.append(Object.assign(new Image(), { src: film.small, alt: "" }));
    button.addEventListener("click", () => this.openAgain(film.path));
    const tick = Object.assign(document.createElement("input"), { type: "checkbox", title: this.part.dataset.compare });
    tick.setAttribute("aria-label", `${this.part.dataset.compare}: ${name}`);
    tick.addEventListener("change", () => this.tick());
    tick.film = film;
    item.append(button, tick);
    return item;
  }

  /** Show two X-rays side by side once two are ticked, the earlier one on the left. */
  tick() {
    const ticked = [...this.list.querySelectorAll("input:checked")].map(({ film }) => film);
    if (ticked.length < 2) return;
    const [later, earlier] = ticked;
    this.dialog.querySelector(".pair").replaceChildren(this.figure(earlier), this.figure(later));
    this.dialog.querySelector(".change").textContent = this.change(earlier.share, later.share);
    this.dialog.showModal();
  }

  untick() {
    this.list.querySelectorAll("input").forEach((tick) => (tick.checked = false));
  }

  figure(film) {
    const figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    caption.textContent = film.share === null ? this.part.dataset.unknown : filled(this.part.dataset.share, percent(film.share));
    figure.append(Object.assign(new Image(), { src: film.large, alt: caption.textContent }), caption);
    return figure;
  }

  change(before, after) {
    if (before === null || after === null) return "";
    const points = Math.round(1000 * (after - before)) / 10;
    return filled(this.part.dataset.change, points.toLocaleString(spoken(), { signDisplay: "exceptZero" }));
  }
}

const spoken = () => document.documentElement.lang || "en";
const percent = (share) => share.toLocaleString(spoken(), { style: "percent", maximumFractionDigits: 1 });
const filled = (text, value) => text.replace("{}", value);

/** Draw a film with its outlines, its longer side so many pixels, as the address of a picture. */
function picture(film, side) {
  const { width, height } = film.picture;
  const scale = side / Math.max(width, height);
  const canvas = Object.assign(document.createElement("canvas"), { width: width * scale, height: height * scale });
  const context = canvas.getContext("2d");
  context.drawImage(film.canvas, 0, 0, canvas.width, canvas.height);
  context.lineWidth = Math.max(1, side / 400);
  for (const path of film.svg.querySelectorAll("path")) {
    const scaled = new Path2D();
    scaled.addPath(new Path2D(path.getAttribute("d")), new DOMMatrix().scale(canvas.width, canvas.height));
    context.strokeStyle = path.style.getPropertyValue("--colour");
    context.stroke(scaled);
  }
  return canvas.toDataURL("image/jpeg", 0.85);
}
