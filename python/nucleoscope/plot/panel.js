// One region as a track, and as a logo where a base has room: what every page of ours draws.
const COLORS = { A: "#109648", C: "#255c99", G: "#d98a00", T: "#d62839", N: "#999" };
const ROW = 14, AXIS = 22, TRACK = 150, LETTERS = 6;
const style = name => getComputedStyle(document.documentElement).getPropertyValue(name);

function floats(text) {
  const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}

class Panel {
  constructor(given, place) {
    this.given = given; this.scores = floats(given.scores); this.length = this.scores.length;
    this.low = 0; this.high = this.length;
    const head = place.appendChild(document.createElement("h2")); head.textContent = given.name;
    const bar = place.appendChild(document.createElement("div")); bar.className = "bar";
    for (const [sign, act] of [["−", () => this.zoom(2)], ["+", () => this.zoom(.5)], ["all", () => this.show(0, this.length)], ["strongest", () => this.strongest()]]) {
      const button = bar.appendChild(document.createElement("button"));
      button.textContent = sign; button.onclick = act;
    }
    this.said = bar.appendChild(document.createElement("span"));
    this.canvas = place.appendChild(document.createElement("canvas"));
    this.lanes = this.stack(given.hits);
    this.listen();
    this.show(given.low, given.high);
  }
  stack(hits) {  // each hit in the first lane that is free there
    const ends = [];
    for (const hit of hits) {
      let lane = ends.findIndex(end => end < hit[0]);
      if (lane < 0) lane = ends.length;
      ends[lane] = hit[1]; hit[5] = lane;
    }
    return Math.min(ends.length, 8);
  }
  listen() {
    let from = null;
    const bases = event => event.offsetX / this.canvas.clientWidth * (this.high - this.low);
    this.canvas.onpointerdown = e => { from = [e.offsetX, this.low, this.high]; this.canvas.setPointerCapture(e.pointerId); };
    this.canvas.onpointerup = () => { from = null; };
    this.canvas.onpointermove = e => {
      if (!from) { this.tell(Math.floor(this.low + bases(e))); return; }
      const moved = (from[0] - e.offsetX) / this.canvas.clientWidth * (from[2] - from[1]);
      this.show(from[1] + moved, from[2] + moved);
    };
    this.canvas.addEventListener("wheel", e => { e.preventDefault(); this.zoom(e.deltaY > 0 ? 1.25 : .8, this.low + bases(e)); }, { passive: false });
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }
  zoom(factor, about = (this.low + this.high) / 2) {
    this.show(about - (about - this.low) * factor, about + (this.high - about) * factor);
  }
  strongest() {
    let at = 0;
    this.scores.forEach((s, i) => { if (Math.abs(s) > Math.abs(this.scores[at]) || isNaN(this.scores[at])) at = i; });
    this.show(at - 50, at + 51);
  }
  show(low, high) {
    const wide = Math.min(Math.max(high - low, Math.min(20, this.length)), this.length);
    this.low = Math.min(Math.max(low, 0), this.length - wide); this.high = this.low + wide;
    this.draw();
  }
  tell(site) {
    const base = this.given.letters[site] || "";
    const score = this.scores[site];
    const first = this.given.start + Math.floor(this.low), last = this.given.start + Math.ceil(this.high) - 1;
    const here = base ? `  ${(this.given.start + site).toLocaleString("en")} ${base} ${isNaN(score) ? "no score" : score.toPrecision(4)}` : "";
    this.said.textContent = `${first.toLocaleString("en")}–${last.toLocaleString("en")}${here}`;
  }
  draw() {
    const wide = this.canvas.clientWidth || 1000, marks = this.given.marks.length ? 34 : 4;
    const tall = marks + TRACK + AXIS + this.lanes * ROW, ratio = devicePixelRatio || 1;
    this.canvas.width = wide * ratio; this.canvas.height = tall * ratio; this.canvas.style.height = `${tall}px`;
    const pen = this.canvas.getContext("2d");
    pen.scale(ratio, ratio); pen.clearRect(0, 0, wide, tall);
    const per = wide / (this.high - this.low), first = Math.floor(this.low), last = Math.min(Math.ceil(this.high), this.length);
    let top = 0, bottom = 0;
    for (let i = first; i < last; i++) { if (this.scores[i] > top) top = this.scores[i]; if (this.scores[i] < bottom) bottom = this.scores[i]; }
    const unit = TRACK / ((top - bottom) || 1), zero = marks + top * unit, x = i => (i - this.low) * per;
    const drawn = per >= LETTERS ? this.logo(pen, first, last, x, per, zero, unit) : this.track(pen, wide, per, zero, unit);
    pen.fillStyle = style("--line"); pen.fillRect(0, zero - .5, wide, 1);
    this.axis(pen, x, per, marks + TRACK, wide);
    this.lollipops(pen, x, per, marks);
    this.boxes(pen, x, per, marks + TRACK + AXIS);
    this.canvas.dataset.drawn = `${per >= LETTERS ? "letters" : "track"} ${drawn}`;
    this.tell(-1);
  }
  logo(pen, first, last, x, per, zero, unit) {
    pen.font = "bold 100px Arial, sans-serif"; pen.textAlign = "center"; pen.textBaseline = "alphabetic";
    let drawn = 0;
    for (let i = first; i < last; i++) {
      const score = this.scores[i], base = this.given.letters[i];
      if (!score) continue;  // 0 or NaN
      const box = pen.measureText(base), high = box.actualBoundingBoxAscent;
      pen.save();
      pen.translate(x(i) + per / 2, zero); pen.scale(per * .95 / box.width, -score * unit / -high);
      pen.fillStyle = COLORS[base] || COLORS.N; pen.fillText(base, 0, 0);
      pen.restore(); drawn++;
    }
    return drawn;
  }
  track(pen, wide, per, zero, unit) {
    let drawn = 0;
    for (let px = 0; px < wide; px++) {
      const lo = Math.floor(this.low + px / per), hi = Math.min(Math.max(Math.floor(this.low + (px + 1) / per), lo + 1), this.length);
      let top = 0, bottom = 0;
      for (let i = lo; i < hi; i++) { if (this.scores[i] > top) top = this.scores[i]; if (this.scores[i] < bottom) bottom = this.scores[i]; }
      pen.fillStyle = "#2a6fbb"; pen.fillRect(px, zero - top * unit, 1, top * unit);
      pen.fillStyle = "#c2463d"; pen.fillRect(px, zero, 1, -bottom * unit);
      drawn += top > 0 || bottom < 0;
    }
    return drawn;
  }
  axis(pen, x, per, y, wide) {
    const steps = [1, 2, 5].flatMap(m => [...Array(9).keys()].map(e => m * 10 ** e)).sort((a, b) => a - b);
    const step = steps.find(s => s * per > 90) || 1e9;
    pen.font = "11px system-ui, sans-serif"; pen.textAlign = "center"; pen.textBaseline = "top"; pen.fillStyle = style("--pale");
    for (let at = Math.ceil((this.given.start + this.low) / step) * step; at < this.given.start + this.high; at += step) {
      const px = x(at - this.given.start + .5);
      pen.fillRect(px, y, 1, 4);
      if (px > 30 && px < wide - 30) pen.fillText(at.toLocaleString("en"), px, y + 6);
    }
  }
  lollipops(pen, x, per, y) {
    const largest = Math.max(...this.given.marks.map(m => Math.abs(m[2])), 1e-30);
    pen.font = "11px system-ui, sans-serif"; pen.textAlign = "center"; pen.textBaseline = "bottom";
    for (const [site, name, value] of this.given.marks) {
      if (site < this.low || site >= this.high) continue;
      const px = x(site + .5), tall = 4 + 14 * Math.abs(value) / largest;
      pen.fillStyle = value < 0 ? "#c2463d" : "#2a6fbb";
      pen.fillRect(px - .5, y - tall, 1, tall);
      pen.beginPath(); pen.arc(px, y - tall, 3, 0, 7); pen.fill();
      if (per >= 2) { pen.fillStyle = style("--ink"); pen.fillText(name, px, y - tall - 3); }
    }
  }
  boxes(pen, x, per, y) {
    pen.font = "10px system-ui, sans-serif"; pen.textBaseline = "middle"; pen.textAlign = "center";
    for (const [start, end, name, strand, , lane] of this.given.hits) {
      if (end < this.low || start > this.high || lane >= this.lanes) continue;
      const left = x(start), wide = Math.max(x(end) - left, 1);
      pen.fillStyle = "#8fa3bf"; pen.fillRect(left, y + lane * ROW + 1, wide, ROW - 3);
      const text = name + (strand === "-" ? " ←" : " →");
      if (pen.measureText(text).width < wide) { pen.fillStyle = "#111"; pen.fillText(text, left + wide / 2, y + lane * ROW + ROW / 2); }
    }
  }
}
