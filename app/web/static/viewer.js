// The photo on the stage: zoom about a point, pan, pinch. The whole photo is scale 1.
//
// What is laid over the photo lies in the same view and moves with it. Once somebody looks closer than
// the preview is sharp, the photo as it came takes its place, where a browser can show it.

const MOST = 16;
const STEP = 1.5;
const CLOSER = 1.2;

const middle = (points) => ({
  x: points.reduce((sum, one) => sum + one.x, 0) / points.length,
  y: points.reduce((sum, one) => sum + one.y, 0) / points.length,
});
const spread = ([one, other]) => (other ? Math.hypot(one.x - other.x, one.y - other.y) : 0);
const isOfTools = (event) => Boolean(event.target.closest("button, a, input"));
const within = (value, low, high) => Math.min(Math.max(value, low), high);

export class Viewer {
  constructor(stage, view, photo) {
    Object.assign(this, { stage, view, photo, pointers: new Map(), sharp: null });
    stage.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    stage.addEventListener("dblclick", (event) => isOfTools(event) || this.zoomTo(this.scale > 1 ? 1 : 3, this.pointOf(event)));
    stage.addEventListener("pointerdown", (event) => this.onDown(event));
    stage.addEventListener("pointermove", (event) => this.onMove(event));
    for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, (event) => this.onUp(event));
    addEventListener("resize", () => this.place());
    this.fit();
  }

  // `sharp` is the address of the photo as it came, null where the preview is all there is.
  show(address, sharp) {
    this.sharp = sharp;
    this.photo.src = address;
    this.fit();
  }

  fit() {
    Object.assign(this, { scale: 1, x: 0, y: 0 });
    this.place();
  }

  zoomIn() {
    this.zoomTo(this.scale * STEP);
  }

  zoomOut() {
    this.zoomTo(this.scale / STEP);
  }

  // `at` stays where it is on the screen.
  zoomTo(scale, at = { x: this.stage.clientWidth / 2, y: this.stage.clientHeight / 2 }) {
    const next = within(scale, 1, MOST);
    const growth = next / this.scale;
    this.scale = next;
    this.x = at.x - (at.x - this.x) * growth;
    this.y = at.y - (at.y - this.y) * growth;
    this.place();
    if (next > CLOSER) this.sharpen();
  }

  pan(byX, byY) {
    this.x += byX;
    this.y += byY;
    this.place();
  }

  place() {
    this.x = within(this.x, this.stage.clientWidth * (1 - this.scale), 0);
    this.y = within(this.y, this.stage.clientHeight * (1 - this.scale), 0);
    this.view.style.transform = `translate(${this.x}px, ${this.y}px) scale(${this.scale})`;
    this.stage.toggleAttribute("data-zoomed", this.scale > 1);
  }

  async sharpen() {
    const address = this.sharp;
    if (!address) return;
    this.sharp = null;
    const whole = new Image();
    whole.src = address;
    const before = this.photo.src;
    await whole.decode().catch(() => null);
    if (whole.naturalWidth && this.photo.src === before) this.photo.src = address;
  }

  pointOf(event) {
    const box = this.stage.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  onWheel(event) {
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    this.zoomTo(this.scale * Math.exp(-event.deltaY * lines * 0.002), this.pointOf(event));
  }

  onDown(event) {
    if (event.button !== 0 || isOfTools(event)) return;
    this.stage.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, this.pointOf(event));
  }

  onMove(event) {
    if (!this.pointers.has(event.pointerId)) return;
    const before = [...this.pointers.values()];
    this.pointers.set(event.pointerId, this.pointOf(event));
    const after = [...this.pointers.values()];
    const [from, to] = [middle(before), middle(after)];
    this.pan(to.x - from.x, to.y - from.y);
    if (after.length > 1 && spread(before) > 0) this.zoomTo((this.scale * spread(after)) / spread(before), to);
  }

  onUp(event) {
    this.pointers.delete(event.pointerId);
  }
}
