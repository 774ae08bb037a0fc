// The course of a training: its loss, and how well it ranks held-out photos, over the work that is done.

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, LEFT, BOTTOM] = [640, 160, 44, 20];

function element(name, attributes, words) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (words !== undefined) made.textContent = words;
  return made;
}

// The lowest and highest tick of a curve; a share always runs to 1.
function scaleOf(points, isShare) {
  const values = points.map(([, value]) => value);
  return isShare ? [0, 1] : [0, Math.max(...values, 1e-9)];
}

function draw(place, points, stages, isShare) {
  const [low, high] = scaleOf(points, isShare);
  const x = (at) => LEFT + at * (WIDTH - LEFT - 4);
  const y = (value) => 8 + (1 - (value - low) / (high - low)) * (HEIGHT - BOTTOM - 8);
  const marks = [low, (low + high) / 2, high].flatMap((value) => [
    element("line", { class: "grid", x1: LEFT, x2: WIDTH - 4, y1: y(value), y2: y(value) }),
    element("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, isShare ? `${Math.round(value * 100)}%` : value.toPrecision(2)),
  ]);
  const borders = stages.slice(1).map(([at]) => element("line", { class: "ideal", x1: x(at), x2: x(at), y1: 8, y2: HEIGHT - BOTTOM }));
  const path = points.map(([at, value]) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
  const [lastAt, lastValue] = points.at(-1);
  place.replaceChildren(
    ...marks, ...borders,
    element("polyline", { class: "through", points: path }),
    element("circle", { class: "point", cx: x(lastAt), cy: y(lastValue), r: 3 }),
  );
}

export function drawCourse(course) {
  for (const figure of document.querySelectorAll("[data-curve]")) {
    const points = course?.curves?.[figure.dataset.curve] ?? [];
    figure.hidden = points.length < 2;
    if (!figure.hidden) draw(figure.querySelector("svg"), points, course.stages ?? [], "share" in figure.dataset);
  }
}
