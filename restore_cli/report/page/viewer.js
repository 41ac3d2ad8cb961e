"use strict";
// Shows one comparison at a time in one or more panes with synchronized zoom and pan.
{
  const MAX_SCALE = 32; // screen pixels per image pixel
  const ZOOM_STEP = 2; // zoom factor per key press or click
  const find = (id) => document.getElementById(id);
  const [stage, board, divider, readout] = ["stage", "board", "divider", "readout"].map(find);
  const comparisons = JSON.parse(find("comparisons").textContent);
  // x, y: the image point in the center of every pane; fitted: the entire image stays visible when panes change
  const view = { scale: 1, x: 0, y: 0, fitted: true };
  let index = 0;
  let versions = []; // of the comparison shown: {name, note, bitmap}
  let left = 0;
  let right = 1;
  let mode = "divider";
  let split = 0.5; // position of the divider, relative to the width of the stage
  let flipped = false; // whether blink mode shows the right version
  let panes = [];
  let box = [0, 0, 0, 0]; // the image in a pane: left, top, width, height in screen pixels
  let scheduled = 0;

  const size = () => comparisons[index];
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

  // Comparisons and versions

  async function open(next) {
    const wanted = comparisons[next];
    index = next;
    find("comparison").value = next;
    const loaded = await Promise.all(wanted.versions.map(load));
    if (index !== next) return; // another comparison was opened meanwhile
    const names = [left, right].map((place) => versions[place]?.name);
    const same = versions.length && versions[0].bitmap.width === wanted.width && versions[0].bitmap.height === wanted.height;
    versions.forEach((version) => version.bitmap.close());
    versions = loaded;
    left = Math.max(0, versions.findIndex((version) => version.name === names[0]));
    right = versions.findIndex((version) => version.name === names[1]);
    if (right < 0 || right === left) right = left ? 0 : 1;
    for (const select of [find("left"), find("right")]) {
      select.replaceChildren(...versions.map((version, place) => new Option(version.name, place)));
    }
    view.fitted ||= !same;
    build();
  }

  async function load(version) {
    const image = new Image();
    image.src = version.source;
    await image.decode();
    return { name: version.name, note: version.note, bitmap: await createImageBitmap(image) };
  }

  function choose(side, place) {
    if (side === "left") [left, right] = [place, place === right ? left : right];
    else [left, right] = [place === left ? right : left, place];
    build();
  }

  function show(wanted) {
    flipped = wanted === "blink" && mode === "blink" && !flipped;
    mode = wanted;
    build();
  }

  // Panes

  function build() {
    const shown = { divider: [[left, right]], side: versions.map((_, place) => [place]), blink: [[flipped ? right : left]] }[mode];
    panes = shown.map((places) => {
      const element = document.createElement("div");
      element.className = "pane";
      element.append(document.createElement("canvas"), ...places.map((place) => caption(versions[place])));
      return { element, canvas: element.firstChild, places };
    });
    board.replaceChildren(...panes.map((pane) => pane.element));
    divider.hidden = mode !== "divider";
    find("left").value = left;
    find("right").value = right;
    for (const id of ["left", "right", "swap"]) find(id).disabled = mode === "side";
    for (const button of document.querySelectorAll("[data-mode]")) {
      button.setAttribute("aria-pressed", button.dataset.mode === mode);
    }
    stage.setAttribute("aria-label", `${size().title}: ${panes.flatMap((pane) => pane.places.map((place) => versions[place].name)).join(", ")}`);
    updateReadout();
    arrange();
  }

  function caption(version) {
    const element = document.createElement("p");
    element.className = "caption";
    for (const [kind, text] of [["b", version.name], ["span", version.note]]) {
      if (text) element.appendChild(document.createElement(kind)).textContent = text;
    }
    return element;
  }

  /** Arranges the panes in the number of columns that shows the image largest. */
  function arrange() {
    if (!panes.length) return;
    const gap = 2;
    const grids = panes.map((_, extra) => {
      const rows = Math.ceil(panes.length / (extra + 1));
      const width = Math.floor((board.clientWidth - gap * extra) / (extra + 1));
      const height = Math.floor((board.clientHeight - gap * (rows - 1)) / rows);
      return { columns: extra + 1, width, height, scale: Math.min(width / size().width, height / size().height) };
    });
    const grid = grids.reduce((best, other) => (other.scale > best.scale ? other : best));
    board.style.gridTemplateColumns = `repeat(${grid.columns}, ${grid.width}px)`;
    for (const { element, canvas } of panes) {
      element.style.height = `${grid.height}px`;
      canvas.width = Math.floor(grid.width * devicePixelRatio);
      canvas.height = Math.floor(grid.height * devicePixelRatio);
      canvas.style.width = `${canvas.width / devicePixelRatio}px`;
    }
    if (view.fitted) fit();
    paint();
  }

  function refresh() {
    scheduled ||= requestAnimationFrame(paint);
  }

  function paint() {
    cancelAnimationFrame(scheduled);
    scheduled = 0;
    if (!panes.length) return;
    const { width, height } = panes[0].canvas;
    view.x = confine(view.x, size().width, width / 2 / view.scale);
    view.y = confine(view.y, size().height, height / 2 / view.scale);
    box = [
      Math.round(width / 2 - view.x * view.scale),
      Math.round(height / 2 - view.y * view.scale),
      size().width * view.scale,
      size().height * view.scale,
    ];
    for (const { canvas, places } of panes) {
      const context = canvas.getContext("2d");
      context.imageSmoothingEnabled = view.scale < 1;
      context.imageSmoothingQuality = "high";
      context.clearRect(0, 0, width, height);
      const cut = places.length > 1 ? Math.round(split * width) : width;
      for (const [place, from, to] of [[places[0], 0, cut], [places.at(-1), cut, width]]) {
        context.save();
        context.beginPath();
        context.rect(from, 0, to - from, height);
        context.clip();
        context.drawImage(versions[place].bitmap, ...box);
        context.restore();
      }
    }
    const percent = Math.round(split * 100);
    divider.style.left = `${split * 100}%`;
    divider.setAttribute("aria-valuenow", percent);
    divider.setAttribute("aria-valuetext", `${percent}% ${versions[left].name}, ${100 - percent}% ${versions[right].name}`);
    find("scale").value = `${Math.round(view.scale * 100)}%`;
  }

  /** Limits a center so that the image fills the pane; half: half of the visible length. */
  function confine(middle, length, half) {
    return length <= 2 * half ? length / 2 : clamp(middle, half, length - half);
  }

  // Zoom and position

  function fitScale() {
    const { width, height } = panes[0].canvas;
    const scale = Math.min(width / size().width, height / size().height, MAX_SCALE);
    const even = scale > 1 && devicePixelRatio < 1.5; // on a coarse screen, uneven pixels would be visible
    return even ? Math.floor(scale) : scale;
  }

  function fit() {
    Object.assign(view, { scale: fitScale(), x: size().width / 2, y: size().height / 2, fitted: true });
    refresh();
  }

  /** Zooms around a point, given in screen pixels from the center of its pane. */
  function zoom(scale, [dx, dy] = [0, 0]) {
    const next = clamp(scale, Math.min(fitScale(), 1), MAX_SCALE);
    view.x += dx / view.scale - dx / next;
    view.y += dy / view.scale - dy / next;
    view.scale = next;
    view.fitted = false;
    refresh();
  }

  function pan(dx, dy) {
    view.x -= dx / view.scale;
    view.y -= dy / view.scale;
    refresh();
  }

  function slide(share) {
    split = clamp(share, 0, 1);
    refresh();
  }

  /** Steps to the next power of two. */
  function step(by) {
    const power = Math.log2(view.scale) / Math.log2(ZOOM_STEP);
    zoom(ZOOM_STEP ** (by > 0 ? Math.floor(power + 1.001) : Math.ceil(power - 1.001)));
  }

  /** The offset of a window point from the center of the pane under it, in screen pixels. */
  function spot(x, y) {
    const boxes = panes.map((pane) => pane.canvas.getBoundingClientRect());
    const at = boxes.find((one) => x >= one.left && x < one.right && y >= one.top && y < one.bottom) ?? boxes[0];
    return [(x - at.left - at.width / 2) * devicePixelRatio, (y - at.top - at.height / 2) * devicePixelRatio];
  }

  const probe = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });

  /** Shows the image size, or the pixel values of all versions at a window point. */
  function updateReadout(x, y) {
    readout.value = `${size().width} × ${size().height} pixels`;
    if (x === undefined) return;
    const [dx, dy] = spot(x, y);
    const { width, height } = panes[0].canvas;
    const column = Math.floor((dx + width / 2 - box[0]) / view.scale);
    const row = Math.floor((dy + height / 2 - box[1]) / view.scale);
    if (column < 0 || row < 0 || column >= size().width || row >= size().height) return;
    const colors = versions.map(({ name, bitmap }) => {
      probe.drawImage(bitmap, -column, -row);
      return `${name} ${probe.getImageData(0, 0, 1, 1).data.slice(0, 3).join(" ")}`;
    });
    readout.value = [`x ${column}, y ${row}`, ...colors].join("  ·  ");
  }

  // Pointers

  const fingers = new Map(); // position in the window by pointer
  let travel = 0; // since the first touch

  function grip() {
    const [first, second = first] = [...fingers.values()];
    return {
      x: (first.x + second.x) / 2,
      y: (first.y + second.y) / 2,
      spread: Math.hypot(first.x - second.x, first.y - second.y),
    };
  }

  stage.addEventListener("pointerdown", (event) => {
    if (event.button || fingers.size > 1) return;
    if (!fingers.size) travel = 0;
    stage.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  });

  stage.addEventListener("pointermove", (event) => {
    if (!panes.length) return;
    if (!fingers.has(event.pointerId)) {
      if (!fingers.size && event.pointerType === "mouse") updateReadout(event.clientX, event.clientY);
      return;
    }
    const before = grip();
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const after = grip();
    travel += Math.hypot(after.x - before.x, after.y - before.y);
    pan((after.x - before.x) * devicePixelRatio, (after.y - before.y) * devicePixelRatio);
    if (before.spread && after.spread) zoom((view.scale * after.spread) / before.spread, spot(after.x, after.y));
  });

  function lift(event) {
    const last = fingers.delete(event.pointerId) && !fingers.size;
    if (last && event.type === "pointerup" && travel < 4 && mode === "blink") show("blink");
  }
  stage.addEventListener("pointerup", lift);
  stage.addEventListener("pointercancel", lift);
  stage.addEventListener("pointerleave", () => versions.length && updateReadout());

  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode ? 30 : 1;
    const speed = event.ctrlKey ? 0.01 : 0.002; // a touchpad sends a pinch as ctrl with small steps
    if (panes.length) zoom(view.scale * Math.exp(-event.deltaY * lines * speed), spot(event.clientX, event.clientY));
  }, { passive: false });

  divider.addEventListener("pointerdown", (event) => {
    event.stopPropagation();
    divider.setPointerCapture(event.pointerId);
  });
  divider.addEventListener("pointermove", (event) => {
    event.stopPropagation();
    const { left: start, width } = board.getBoundingClientRect();
    if (divider.hasPointerCapture(event.pointerId)) slide((event.clientX - start) / width);
  });

  // Keys and buttons

  divider.addEventListener("keydown", (event) => {
    const by = event.shiftKey ? 0.1 : 0.01;
    const places = {
      ArrowLeft: split - by, ArrowDown: split - by, ArrowRight: split + by, ArrowUp: split + by,
      PageDown: split - 0.1, PageUp: split + 0.1, Home: 0, End: 1,
    };
    if (!(event.key in places)) return;
    event.preventDefault();
    slide(places[event.key]);
  });

  stage.addEventListener("keydown", (event) => {
    const ways = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    if (event.target !== stage || !(event.key in ways)) return;
    event.preventDefault();
    pan(...ways[event.key].map((way) => way * 48 * devicePixelRatio));
  });

  const turn = (by) => open((index + by + comparisons.length) % comparisons.length);
  const swap = () => choose("left", right);
  const acts = {
    "+": () => step(1), "=": () => step(1), "-": () => step(-1), 0: () => zoom(1), f: fit,
    d: () => show("divider"), s: () => show("side"), b: () => show("blink"), x: swap,
    n: () => turn(1), p: () => turn(-1),
  };
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("select, input:not([type=checkbox])");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !panes.length || !(event.key in acts)) return;
    event.preventDefault();
    acts[event.key]();
  });

  for (const [id, key] of Object.entries({ out: "-", in: "+", actual: "0", fit: "f", swap: "x", next: "n", previous: "p" })) {
    find(id).addEventListener("click", () => panes.length && acts[key]());
  }
  for (const button of document.querySelectorAll("[data-mode]")) {
    button.addEventListener("click", () => panes.length && show(button.dataset.mode));
  }
  for (const side of ["left", "right"]) {
    find(side).addEventListener("change", (event) => choose(side, Number(event.target.value)));
  }
  find("comparison").append(...comparisons.map((comparison, place) => new Option(comparison.title, place)));
  find("comparison").addEventListener("change", (event) => open(Number(event.target.value)));
  new ResizeObserver(arrange).observe(board);
  open(0);
}
