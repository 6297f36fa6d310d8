"""The script of a sorted sheet's page."""

SCRIPT = r"""
'use strict';
const data = JSON.parse(document.getElementById('data').textContent);
const byId = id => document.getElementById(id);
const stage = byId('stage'), canvas = byId('sheet'), pen = canvas.getContext('2d');
const across = data.width + data.gap, down = data.height + data.gap;
const full = {w: data.columns * across - data.gap, h: data.rows * down - data.gap};
const INDEX = 0, NAME = 1, FRAME = 2, LABEL = 3, FROZEN = 4;
const cells = data.cells.map(c => c.slice());
const home = cells.map((_, i) => i);          // where on the strips the picture of a cell is drawn
const colour = new Map(data.groups.map(g => [g[0], g[2]]));
const selected = new Set();                   // picture indices
let focus = 0, zoom = 1, left = 0, top_ = 0, waiting = false, held = null, moved = false, box = null;
const fingers = new Map();

// ---- what was selected last time, where the browser keeps it
const key = 'cineml sort ' + [data.title, data.rows, data.columns].join(' ') + ' ' + hash(data.cells.map(c => c[NAME]).join());
function hash(text) { let h = 7; for (let i = 0; i < text.length; i++) h = (h * 31 + text.charCodeAt(i)) | 0; return h; }
function remember() {
  try { localStorage.setItem(key, JSON.stringify([...selected])); } catch (e) { /* a page from a file may not keep things */ }
}
try {
  const known = new Set(cells.map(c => c[INDEX]));
  for (const i of JSON.parse(localStorage.getItem(key) || '[]')) if (i >= 0 && known.has(i)) selected.add(i);
} catch (e) { /* nothing kept */ }

// ---- pictures
const strips = data.strips.map(s => {
  const image = new Image();
  image.onload = draw;
  image.src = s.src;
  return {first: s.first, rows: s.rows, image};
});
const stripAt = [];
strips.forEach(s => { for (let y = 0; y < s.rows; y++) stripAt[s.first + y] = s; });
const ready = s => s.image.complete && s.image.naturalWidth > 0;
const edge = part => Math.min(Math.max(2.2 / zoom, data.width / part), 4 / zoom);   // in screen pixels 2.2 to 4
const isMoved = i => home[i] !== i;

function draw() { if (!waiting) { waiting = true; requestAnimationFrame(paint); } }

function paint() {
  waiting = false;
  const dpr = window.devicePixelRatio || 1, w = stage.clientWidth, h = stage.clientHeight;
  const wide = Math.round(w * dpr), high = Math.round(h * dpr);
  if (canvas.width !== wide || canvas.height !== high) { canvas.width = wide; canvas.height = high; }
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.fillStyle = '#121212';
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.setTransform(dpr * zoom, 0, 0, dpr * zoom, -left * dpr * zoom, -top_ * dpr * zoom);
  pen.imageSmoothingEnabled = zoom * dpr < 3;
  pen.imageSmoothingQuality = 'high';
  const x0 = Math.max(0, Math.floor(left / across)), x1 = Math.min(data.columns - 1, Math.floor((left + w / zoom) / across));
  const y0 = Math.max(0, Math.floor(top_ / down)), y1 = Math.min(data.rows - 1, Math.floor((top_ + h / zoom) / down));
  if (x1 < x0 || y1 < y0) return;
  for (const s of strips) {
    const a = Math.max(y0, s.first), b = Math.min(y1, s.first + s.rows - 1);
    if (a > b || !ready(s)) continue;
    const sx = x0 * across, sy = (a - s.first) * down, sw = (x1 - x0 + 1) * across, sh = (b - a + 1) * down;
    pen.drawImage(s.image, sx, sy, sw, sh, sx, a * down, sw, sh);
  }
  const line = 1 / zoom, small = across * zoom < 18;
  for (let y = y0; y <= y1; y++) for (let x = x0; x <= x1; x++) {
    const i = y * data.columns + x, c = cells[i], px = x * across, py = y * down;
    if (isMoved(i)) picture(pen, i, px, py, data.width, data.height);
    if (c[INDEX] < 0) {
      if (c[FROZEN]) pin(px, py);
      continue;
    }
    if (colour.size && c[LABEL] && !small) {
      pen.fillStyle = colour.get(c[LABEL]) || '#999';
      const thick = Math.max(Math.min(3 * line, data.height / 8), data.height / 30);
      pen.fillRect(px, py + data.height - thick, data.width, thick);
    }
    if (c[FROZEN]) pin(px, py);
    if (selected.has(c[INDEX])) {
      pen.fillStyle = 'rgba(255,176,0,.12)';
      pen.fillRect(px, py, data.width, data.height);
      outline(px, py, '#ffb000', edge(40));
    }
  }
  const fx = focus % data.columns * across, fy = Math.floor(focus / data.columns) * down;
  outline(fx, fy, '#121212', 2 * edge(44));
  outline(fx, fy, '#ffffff', edge(44));
  if (box) {
    pen.strokeStyle = '#ffb000'; pen.lineWidth = 1.5 * line;
    pen.setLineDash([6 * line, 4 * line]);
    pen.strokeRect(Math.min(box.x0, box.x1), Math.min(box.y0, box.y1), Math.abs(box.x1 - box.x0), Math.abs(box.y1 - box.y0));
    pen.setLineDash([]);
  }
}
function outline(x, y, style, width) {
  pen.strokeStyle = style; pen.lineWidth = width;
  pen.strokeRect(x + width / 2, y + width / 2, data.width - width, data.height - width);
}
function pin(x, y) {
  const r = Math.max(data.width / 16, 4 / zoom);
  pen.beginPath(); pen.arc(x + 1.7 * r, y + 1.7 * r, r, 0, 7);
  pen.fillStyle = '#56b4e9'; pen.fill(); pen.lineWidth = r / 3; pen.strokeStyle = '#121212'; pen.stroke();
}
function picture(to, i, x, y, w, h) {
  const from = home[i], s = stripAt[Math.floor(from / data.columns)];
  if (!ready(s)) return;
  to.drawImage(s.image, from % data.columns * across, (Math.floor(from / data.columns) - s.first) * down,
               data.width, data.height, x, y, w, h);
}

// ---- the view
const least = () => Math.min(stage.clientWidth / full.w, stage.clientHeight / full.h) * 0.96;
function keepInside() {
  const w = stage.clientWidth / zoom, h = stage.clientHeight / zoom;
  left = full.w <= w ? (full.w - w) / 2 : Math.min(Math.max(left, -w * 0.1), full.w - w * 0.9);
  top_ = full.h <= h ? (full.h - h) / 2 : Math.min(Math.max(top_, -h * 0.1), full.h - h * 0.9);
}
function zoomAt(x, y, factor) {
  const before = zoom;
  zoom = Math.min(Math.max(zoom * factor, Math.min(least(), 1)), 12);
  left += x / before - x / zoom; top_ += y / before - y / zoom;
  keepInside(); draw();
}
function whole() { zoom = Math.min(least(), 4); keepInside(); draw(); }
function reveal() {
  const x = focus % data.columns * across, y = Math.floor(focus / data.columns) * down;
  const w = stage.clientWidth / zoom, h = stage.clientHeight / zoom;
  const side = Math.min(across, w / 4), rim = Math.min(down, h / 4);
  if (full.w > w) left = Math.max(Math.min(left, x - side), x + across + side - w);
  if (full.h > h) top_ = Math.max(Math.min(top_, y - rim), y + down + rim - h);
  draw();
}
function middle(factor) {
  const x = (focus % data.columns * across + across / 2 - left) * zoom;
  const y = (Math.floor(focus / data.columns) * down + down / 2 - top_) * zoom;
  const seen = x >= 0 && y >= 0 && x <= stage.clientWidth && y <= stage.clientHeight;
  zoomAt(seen ? x : stage.clientWidth / 2, seen ? y : stage.clientHeight / 2, factor);
}
const sheetX = e => (e.clientX - canvas.getBoundingClientRect().left) / zoom + left;
const sheetY = e => (e.clientY - canvas.getBoundingClientRect().top) / zoom + top_;
function cellAt(x, y) {
  const column = Math.floor(x / across), row = Math.floor(y / down);
  return column >= 0 && row >= 0 && column < data.columns && row < data.rows ? row * data.columns + column : -1;
}

// ---- what is told
function tell() {
  const c = cells[focus], row = Math.floor(focus / data.columns), column = focus % data.columns, own = byId('here');
  const to = own.getContext('2d');
  to.fillStyle = '#121212'; to.fillRect(0, 0, own.width, own.height);
  if (c[INDEX] >= 0) picture(to, focus, 0, 0, own.width, own.height);
  const parts = ['row ' + row + ', column ' + column];
  if (c[FRAME] >= 0) parts.push('frame ' + c[FRAME]);
  if (c[LABEL]) parts.push(c[LABEL]);
  if (c[FROZEN]) parts.push('frozen');
  const name = c[INDEX] < 0 ? 'a hole' : c[NAME], small = document.createElement('small');
  small.textContent = parts.join(' \u00b7 ');
  byId('name').replaceChildren(name, small);
  byId('said').textContent = name + ', ' + parts.join(', ') + (selected.has(c[INDEX]) ? ', selected' : '');
  byId('count').textContent = selected.size ? selected.size + (selected.size === 1 ? ' picture' : ' pictures') + ' selected'
                                            : 'Nothing selected';
  for (const id of ['copy', 'list', 'table', 'none']) byId(id).disabled = !selected.size;
  const chosen = chosenCells();
  byId('swap').disabled = chosen.length !== 2;
  byId('freeze').textContent = targets().every(i => cells[i][FROZEN]) ? 'Unfreeze' : 'Freeze';
}
const chosenCells = () => cells.map((_, i) => i).filter(i => selected.has(cells[i][INDEX]));
const targets = () => selected.size ? chosenCells() : [focus];
function changed() { remember(); tell(); draw(); }
function toggle(i) {
  const index = cells[i][INDEX];
  if (index < 0) return;
  if (!selected.delete(index)) selected.add(index);
}
function go(i, select) {
  if (select && cells[focus][INDEX] >= 0) selected.add(cells[focus][INDEX]);
  focus = i;
  if (select && cells[focus][INDEX] >= 0) selected.add(cells[focus][INDEX]);
  reveal(); changed();
}

// ---- deeds
function freeze() {
  const on = targets().every(i => cells[i][FROZEN]) ? 0 : 1;
  for (const i of targets()) cells[i][FROZEN] = on;
  changed();
}
function swap() {
  const two = chosenCells();
  if (two.length !== 2) return;
  const [a, b] = two;
  [cells[a], cells[b]] = [cells[b], cells[a]];
  [home[a], home[b]] = [home[b], home[a]];
  cells[a][FROZEN] = cells[b][FROZEN] = 1;
  changed();
}
const quoted = v => /[",\n\r]/.test(v) ? '"' + String(v).replace(/"/g, '""') + '"' : String(v);
const frameOf = c => c[FRAME] >= 0 ? c[FRAME] : '';
function rowOf(i) {
  const c = cells[i], row = Math.floor(i / data.columns);
  return [row, i % data.columns, c[INDEX], quoted(c[NAME]), frameOf(c), quoted(c[LABEL]), c[FROZEN]].join();
}
const names = () => chosenCells().map(i => cells[i][NAME]).join('\n') + '\n';
const stem = data.title.replace(/\.[^.]*$/, '');
function save(name, text) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], {type: 'text/plain'}));
  link.download = name;
  document.body.append(link); link.click(); link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
function say(text) { byId('count').textContent = text; }
function copy() {
  const text = names(), area = document.createElement('textarea');
  const fallBack = () => {                     // a page from a file may have no clipboard of its own
    area.value = text; document.body.append(area); area.select();
    const done = document.execCommand('copy');
    area.remove(); canvas.focus();
    say(done ? 'Names copied' : 'The browser does not let names be copied');
  };
  if (navigator.clipboard) navigator.clipboard.writeText(text).then(() => say('Names copied'), fallBack); else fallBack();
}
byId('copy').onclick = copy;
byId('list').onclick = () => save(stem + '.selection.txt', names());
byId('table').onclick = () => save(stem + '.selection.csv', data.head.join() + '\n' +
  chosenCells().map(rowOf).join('\n') + '\n');
byId('order').onclick = () => save(stem + '.csv', '# cineml sort: ' + data.title + '\n# rows: ' + data.rows + '\n# columns: ' +
  data.columns + '\n' + data.head.join() + '\n' + cells.map((_, i) => rowOf(i)).join('\n') + '\n' + data.waiting);
byId('none').onclick = () => { selected.clear(); changed(); };
byId('freeze').onclick = freeze;
byId('swap').onclick = swap;
byId('in').onclick = () => middle(1.5);
byId('out').onclick = () => middle(1 / 1.5);
byId('whole').onclick = whole;
for (const [label, told, shade, count] of data.groups) {
  const button = document.createElement('button'), mark = document.createElement('i');
  const words = document.createElement('span'), number = document.createElement('small');
  button.type = 'button'; mark.style.background = shade; words.textContent = told; number.textContent = count;
  button.append(mark, words, number);
  button.onclick = () => {
    const own = cells.filter(c => c[INDEX] >= 0 && c[LABEL] === label).map(c => c[INDEX]);
    const all = own.every(i => selected.has(i));
    for (const i of own) if (all) selected.delete(i); else selected.add(i);
    changed();
  };
  byId('groups').append(button);
}
byId('find').addEventListener('input', () => {
  const wanted = byId('find').value.trim().toLowerCase();
  if (!wanted) return;
  const fits = i => cells[i][INDEX] >= 0 && cells[i][NAME].toLowerCase().includes(wanted);
  let found = cells.findIndex((c, i) => c[INDEX] >= 0 && c[NAME].toLowerCase() === wanted);
  if (found < 0) found = cells.findIndex((_, i) => fits(i));
  if (found < 0) { say('No such name'); return; }
  focus = found; reveal(); tell();
});
byId('find').addEventListener('keydown', e => { if (e.key === 'Enter' || e.key === 'Escape') canvas.focus(); });

// ---- mouse, pen and fingers
canvas.addEventListener('pointerdown', e => {
  if (e.button > 1) return;
  canvas.focus(); canvas.setPointerCapture(e.pointerId);
  fingers.set(e.pointerId, {x: e.clientX, y: e.clientY});
  moved = fingers.size > 1;
  held = {x: e.clientX, y: e.clientY, left, top: top_};
  box = e.shiftKey && fingers.size === 1 ? {x0: sheetX(e), y0: sheetY(e), x1: sheetX(e), y1: sheetY(e)} : null;
});
canvas.addEventListener('pointermove', e => {
  const finger = fingers.get(e.pointerId);
  if (!finger || !held) return;
  if (fingers.size === 2) {
    const other = [...fingers].find(([id]) => id !== e.pointerId)[1], own = canvas.getBoundingClientRect();
    const before = Math.hypot(finger.x - other.x, finger.y - other.y);
    const after = Math.hypot(e.clientX - other.x, e.clientY - other.y);
    left -= (e.clientX - finger.x) / 2 / zoom; top_ -= (e.clientY - finger.y) / 2 / zoom;
    if (before > 0) zoomAt((e.clientX + other.x) / 2 - own.left, (e.clientY + other.y) / 2 - own.top, after / before);
  } else if (box) {
    box.x1 = sheetX(e); box.y1 = sheetY(e);
    moved = moved || Math.hypot(e.clientX - held.x, e.clientY - held.y) > 4;
    draw();
  } else if (moved || Math.hypot(e.clientX - held.x, e.clientY - held.y) > 4) {
    moved = true;
    left = held.left - (e.clientX - held.x) / zoom; top_ = held.top - (e.clientY - held.y) / zoom;
    keepInside(); draw();
  }
  finger.x = e.clientX; finger.y = e.clientY;
});
function release(e) {
  if (!fingers.delete(e.pointerId) || !held) return;
  const other = [...fingers.values()][0];
  if (other) { held = {x: other.x, y: other.y, left, top: top_}; moved = true; return; }
  held = null;
  const at = cellAt(sheetX(e), sheetY(e));
  if (e.type === 'pointercancel') { box = null; draw(); return; }
  if (box && moved) {
    const x0 = Math.floor(Math.min(box.x0, box.x1) / across), x1 = Math.floor(Math.max(box.x0, box.x1) / across);
    const y0 = Math.floor(Math.min(box.y0, box.y1) / down), y1 = Math.floor(Math.max(box.y0, box.y1) / down);
    for (let y = Math.max(0, y0); y <= Math.min(data.rows - 1, y1); y++)
      for (let x = Math.max(0, x0); x <= Math.min(data.columns - 1, x1); x++) {
        const index = cells[y * data.columns + x][INDEX];
        if (index >= 0) selected.add(index);
      }
  } else if (!moved && at >= 0) { focus = at; toggle(at); }
  box = null;
  changed();
}
canvas.addEventListener('pointerup', release);
canvas.addEventListener('pointercancel', release);
canvas.addEventListener('wheel', e => {
  e.preventDefault();
  const own = canvas.getBoundingClientRect(), step = e.deltaMode === 1 ? e.deltaY * 20 : e.deltaY;
  zoomAt(e.clientX - own.left, e.clientY - own.top, Math.exp(-step / 400));
}, {passive: false});

// ---- keys
document.addEventListener('keydown', e => {
  const own = document.activeElement;
  if (own && own.tagName === 'INPUT') return;
  const stay = own && own.tagName === 'BUTTON' && (e.key === ' ' || e.key === 'Enter');
  if (stay || e.altKey) return;
  const last = cells.length - 1, row = Math.floor(focus / data.columns) * data.columns;
  const page = Math.max(1, Math.floor(stage.clientHeight / zoom / down) - 1) * data.columns;
  if (e.ctrlKey || e.metaKey) {
    if (e.key.toLowerCase() === 'a') {
      for (const c of cells) if (c[INDEX] >= 0) selected.add(c[INDEX]);
      e.preventDefault(); changed();
    }
    return;
  }
  const column = focus % data.columns;
  const moves = {
    ArrowLeft: Math.max(row, focus - 1), ArrowRight: Math.min(row + data.columns - 1, focus + 1),
    ArrowUp: focus >= data.columns ? focus - data.columns : focus,
    ArrowDown: focus + data.columns <= last ? focus + data.columns : focus,
    Home: row, End: row + data.columns - 1, PageUp: Math.max(column, focus - page),
    PageDown: Math.min(last - data.columns + 1 + column, focus + page),
  };
  const deeds = {
    ' ': () => { toggle(focus); changed(); }, Enter: () => { toggle(focus); changed(); },
    Escape: () => { selected.clear(); changed(); }, '+': () => middle(1.5), '=': () => middle(1.5), '-': () => middle(1 / 1.5),
    0: whole, 1: () => { middle(1 / zoom); reveal(); }, f: freeze, x: swap, '/': () => byId('find').focus(),
  };
  if (e.key in moves) go(moves[e.key], e.shiftKey);
  else if (e.key in deeds) deeds[e.key]();
  else if (e.key.toLowerCase() in deeds) deeds[e.key.toLowerCase()]();
  else return;
  e.preventDefault();
});
let fits = true;
new ResizeObserver(() => { if (fits) whole(); else { keepInside(); draw(); } }).observe(stage);
for (const deed of ['wheel', 'pointerdown', 'keydown'])
  document.addEventListener(deed, () => { fits = false; }, {capture: true});
strips.forEach(s => s.image.addEventListener('load', tell));
whole(); tell(); canvas.focus();
"""
