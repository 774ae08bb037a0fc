// Where the model sees a label: its heat map laid over the photo, in the label's own colour.
//
// A map is a grey PNG of at most 32 × 32 pixels over the whole photo; its grey becomes opacity.

const MOST_OPAQUE = 0.6;

// Over the photo itself, which is fitted into its box with its own proportions.
export function placeOver(canvas, photo) {
  const { naturalWidth, naturalHeight, parentElement: stage } = photo;
  if (!naturalWidth) return;
  const padding = parseFloat(getComputedStyle(photo).paddingLeft);
  const [boxWidth, boxHeight] = [stage.clientWidth - 2 * padding, stage.clientHeight - 2 * padding];
  const scale = Math.min(boxWidth / naturalWidth, boxHeight / naturalHeight);
  const [width, height] = [naturalWidth * scale, naturalHeight * scale];
  Object.assign(canvas.style, {
    width: `${width}px`,
    height: `${height}px`,
    left: `${(stage.clientWidth - width) / 2}px`,
    top: `${(stage.clientHeight - height) / 2}px`,
  });
}

export class HeatOverlay {
  constructor(canvas, photo) {
    this.canvas = canvas;
    this.photo = photo;
    this.shown = null;
    addEventListener("resize", () => placeOver(canvas, photo));
    photo.addEventListener("load", () => placeOver(canvas, photo));
  }

  hide() {
    this.shown = null;
    this.canvas.hidden = true;
  }

  // False when there is no map to show any more.
  async show(address, colour) {
    this.shown = address;
    const map = new Image();
    map.src = address;
    try {
      await map.decode();
    } catch {
      if (this.shown === address) this.hide();
      return false;
    }
    if (this.shown !== address) return true; // the person has gone on meanwhile
    this.paint(map, colour);
    placeOver(this.canvas, this.photo);
    this.canvas.hidden = false;
    return true;
  }

  paint(map, colour) {
    const { width, height } = map;
    Object.assign(this.canvas, { width, height });
    const context = this.canvas.getContext("2d");
    context.drawImage(map, 0, 0);
    const pixels = context.getImageData(0, 0, width, height);
    const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
    for (let at = 0; at < pixels.data.length; at += 4) {
      const heat = pixels.data[at];
      pixels.data.set([red, green, blue, heat * MOST_OPAQUE], at);
    }
    context.putImageData(pixels, 0, 0);
  }
}
