// Window and level of a photo with more than 8 bits: which greys are black and white on the screen.
//
// Such a photo is previewed with a window that Kizu chose. Its greys come as a PNG, red their high byte
// and green their low byte, once somebody moves a slider.

import { placeOver } from "./heat.js";

const TAILS = 0.001; // as the preview: dead and hot pixels do not widen the window
const SAMPLES = 100_000;

export class Levels {
  constructor(canvas, photo, { panel, low, high, reset }) {
    Object.assign(this, { canvas, photo, panel, low, high, greys: null, address: null });
    for (const slider of [low, high]) slider.addEventListener("input", () => this.draw(slider));
    reset.addEventListener("click", () => this.hide());
    addEventListener("resize", () => placeOver(canvas, photo));
  }

  // `address` is where the greys are, null for a photo that has no more than the screen shows.
  offer(address) {
    this.address = address;
    this.greys = null;
    this.panel.hidden = !address;
    this.hide();
  }

  hide() {
    this.canvas.hidden = true;
    this.low.value = 0;
    this.high.value = this.high.max;
    if (this.greys) this.choose();
  }

  async load() {
    const address = this.address;
    const picture = new Image();
    picture.src = address;
    try {
      await picture.decode();
    } catch {
      this.panel.hidden = true; // in colour, or taken in before Kizu kept greys
      return false;
    }
    if (this.address !== address) return false; // the person has gone on meanwhile
    const { naturalWidth: width, naturalHeight: height } = picture;
    Object.assign(this.canvas, { width, height });
    const context = this.canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(picture, 0, 0);
    this.pixels = context.getImageData(0, 0, width, height);
    this.greys = new Uint16Array(width * height);
    for (let at = 0; at < this.greys.length; at += 1) this.greys[at] = this.pixels.data[4 * at] * 256 + this.pixels.data[4 * at + 1];
    const asked = [this.low.value / this.low.max, this.high.value / this.high.max];
    this.choose();
    return asked;
  }

  // The sliders over the greys that there are, set as the preview was made.
  choose() {
    const step = Math.max(1, Math.floor(this.greys.length / SAMPLES));
    const sorted = this.greys.filter((_, at) => at % step === 0).sort();
    const at = (share) => sorted[Math.round(share * (sorted.length - 1))];
    for (const slider of [this.low, this.high]) slider.max = Math.max(sorted.at(-1), 1);
    this.low.value = at(TAILS);
    this.high.value = at(1 - TAILS);
  }

  async draw(moved) {
    if (!this.greys) {
      const asked = await this.load();
      if (!asked) return;
      const share = moved === this.low ? asked[0] : asked[1];
      moved.value = share * moved.max;
    }
    const [low, high] = [Number(this.low.value), Number(this.high.value)].sort((one, other) => one - other);
    const gain = 255 / Math.max(high - low, 1);
    const { data } = this.pixels;
    for (let at = 0; at < this.greys.length; at += 1) {
      data[4 * at] = data[4 * at + 1] = data[4 * at + 2] = (this.greys[at] - low) * gain;
    }
    this.canvas.getContext("2d").putImageData(this.pixels, 0, 0);
    this.canvas.hidden = false;
    placeOver(this.canvas, this.photo);
  }
}
