"use strict";
document.documentElement.classList.add("js");

// a slider through pictures: drag, play, or the arrow keys anywhere on the page
for (const gallery of document.querySelectorAll(".gallery")) {
  const frames = [...gallery.querySelectorAll(".frames img")];
  const [slider, said, play] = ["input", "output", "button"].map((name) => gallery.querySelector(name));
  let at = frames.length - 1, timer = null;
  const show = (place) => {
    at = Math.max(0, Math.min(frames.length - 1, place));
    frames.forEach((frame, number) => frame.classList.toggle("on", number === at));
    said.textContent = frames[at].dataset.said;
    if (slider) slider.value = at;
  };
  const stop = () => { clearInterval(timer); timer = null; if (play) play.textContent = "▶ Play"; };
  show(at);
  if (!slider) continue;
  slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
  play.addEventListener("click", () => {
    if (timer) return stop();
    if (at === frames.length - 1) show(0);
    play.textContent = "❚❚ Pause";
    timer = setInterval(() => (at === frames.length - 1 ? stop() : show(at + 1)), Math.max(60, 5000 / frames.length));
  });
  document.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
    event.preventDefault();
    stop();
    show(at + step);
  });
}

// values under the pointer, written into the legend
const written = (value) => Math.abs(value) >= 1000 && Math.abs(value) < 1e9
  ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(4)));
for (const chart of document.querySelectorAll(".chart")) {
  const svg = chart.querySelector("svg"), legend = chart.querySelector(".legend");
  const names = [...legend.querySelectorAll("output")], usual = names.map((name) => name.textContent);
  const curves = [...svg.querySelectorAll(".curve:not(.faint)")].map((path) => JSON.parse(path.dataset.v));
  const [left, right, low, high] = svg.dataset.x.split(" ").map(Number);
  const cursor = document.createElementNS(svg.namespaceURI, "line");
  cursor.setAttribute("class", "cursor");
  cursor.setAttribute("y1", svg.dataset.top);
  cursor.setAttribute("y2", svg.dataset.bottom);
  svg.append(cursor);
  const at = document.createElement("li");
  at.className = "at";
  legend.append(at);
  const leave = () => {
    cursor.style.visibility = "hidden";
    legend.classList.remove("read");
    names.forEach((name, number) => { name.textContent = usual[number]; });
  };
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect(), place = ((event.clientX - box.left) / box.width) * svg.viewBox.baseVal.width;
    const wanted = low + ((place - left) / (right - left)) * (high - low);
    const nearest = curves.map((points) => points.reduce((one, other) =>
      Math.abs(other[0] - wanted) < Math.abs(one[0] - wanted) ? other : one, [Infinity, NaN]));
    const x = nearest.map((point) => point[0]).reduce((one, other) => Math.abs(other - wanted) < Math.abs(one - wanted) ? other : one, Infinity);
    if (!Number.isFinite(x)) return;
    nearest.forEach((point, number) => { if (names[number]) names[number].textContent = point[0] === x ? written(point[1]) : "–"; });
    const shown = left + ((x - low) / (high - low)) * (right - left);
    cursor.setAttribute("x1", shown);
    cursor.setAttribute("x2", shown);
    cursor.style.visibility = "visible";
    at.textContent = `at ${x.toLocaleString("en")} ${svg.dataset.unit}`;
    legend.classList.add("read");
  });
  svg.addEventListener("pointerleave", leave);
}

// commands to copy
for (const command of document.querySelectorAll(".command")) {
  const button = document.createElement("button"), line = command.querySelector("pre");
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    try { await navigator.clipboard.writeText(line.textContent); }
    catch { getSelection().selectAllChildren(line); document.execCommand("copy"); }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  command.append(button);
}
