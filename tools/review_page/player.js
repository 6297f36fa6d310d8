// Two panes, film and remake, that play one shot side by side, frame by frame.

import { blob, picture, pictures } from './ask.js';

const MOST_PLAYED = 480; // as the server: of longer shots every second picture, third ...

class Pane {
  constructor(canvas) { this.canvas = canvas; this.about = null; this.clear(); }

  clear() {
    if (this.stop) this.stop.abort();
    this.frames = new Map(); this.stop = null; this.whole = false; this.shown = -1; this.failed = '';
  }

  /** Asks for all pictures of the shot, once. */
  fill(say) {
    if (this.stop || !this.about) return;
    const stop = this.stop = new AbortController();
    pictures(this.about.play, stop.signal, (frame, data) => { if (this.stop === stop) this.frames.set(frame, data); })
      .catch(e => { if (e.name !== 'AbortError') { this.failed = e.message; say(e.message); } })
      .finally(() => { if (this.stop === stop) this.whole = true; });
  }

  async draw(frame, still) {
    const frames = this.frames;
    let data = frames.get(frame);
    if (!data && still && this.about) {
      try { data = await blob(this.about.still(frame)); } catch (e) { this.paintNothing(); throw e; }
      frames.set(frame, data);
    }
    if (!data || frames !== this.frames) return;
    const made = await createImageBitmap(data);
    if (frames === this.frames && (this.wanted === frame || !still)) {
      const { canvas } = this;
      if (canvas.width !== made.width || canvas.height !== made.height) { canvas.width = made.width; canvas.height = made.height; }
      canvas.getContext('2d').drawImage(made, 0, 0);
      canvas.dataset.frame = String(this.shown = frame);
    }
    made.close();
  }

  paintNothing() {
    const { canvas } = this;
    canvas.getContext('2d').clearRect(0, 0, canvas.width, canvas.height);
    canvas.dataset.frame = '';
  }
}

export class Player {
  /** told(frame, playing, waiting): after every move. say(sentence): of what went wrong. */
  constructor(film, remake, told, say) {
    this.film = new Pane(film); this.remake = new Pane(remake);
    this.told = told; this.say = say; this.playing = false; this.frame = 0; this.shot = null; this.name = '';
  }

  /** Shows a shot. right: null, or {kind, mark, still(frame), ...} of what the right pane shows. size: [width, height]. */
  load(shot, rate, size, right, frame) {
    const range = `${shot.number} ${shot.start} ${shot.end}`;
    if (this.name !== range) {
      this.name = range;
      this.film.clear();
      this.film.about = { play: { kind: 'film', shot: shot.number }, still: f => picture('film', { frame: f, h: size[1] }) };
    }
    if (this.mark !== `${range} ${right && right.mark}`) {
      this.mark = `${range} ${right && right.mark}`;
      this.remake.clear();
      this.remake.about = right && { play: right.play, still: right.still };
      if (!right) this.remake.paintNothing();
    }
    for (const pane of [this.film, this.remake]) {
      if (pane.canvas.width === 300 && pane.canvas.height === 150) { pane.canvas.width = size[0]; pane.canvas.height = size[1]; }
    }
    this.shot = shot; this.rate = rate; this.step = Math.max(1, Math.ceil((shot.end - shot.start) / MOST_PLAYED));
    if (this.playing) { for (const pane of [this.film, this.remake]) pane.fill(this.say); }
    this.seek(frame === undefined ? this.frame : frame);
  }

  seek(frame) {
    if (!this.shot) return;
    this.frame = Math.min(Math.max(frame, this.shot.start), this.shot.end - 1);
    this.began = performance.now() - (this.frame - this.shot.start) / this.rate * 1000;
    this.told(this.frame, this.playing);
    this.still();
  }

  async still() {
    for (const pane of [this.film, this.remake]) {
      pane.wanted = this.frame;
      pane.draw(this.frame, true).catch(e => this.say(e.message));
    }
  }

  toggle() { if (this.playing) this.pause(); else this.play(); }

  play() {
    if (!this.shot || this.playing) return;
    this.playing = true;
    for (const pane of [this.film, this.remake]) pane.fill(this.say);
    this.began = performance.now() - (this.frame - this.shot.start) / this.rate * 1000;
    this.told(this.frame, true);
    requestAnimationFrame(now => this.tick(now));
  }

  pause() {
    this.playing = false;
    this.told(this.frame, false);
    this.still();
  }

  /** One refresh: the frame that is due, or the last one while what is due is still being made. */
  tick(now) {
    if (!this.playing) return;
    const length = this.shot.end - this.shot.start;
    const due = Math.max(0, Math.floor((now - this.began) * this.rate / 1000));
    const place = due % length, frame = this.shot.start + place - place % this.step;
    const waits = pane => pane.about && !pane.whole && !pane.frames.has(frame);
    if (waits(this.film) || waits(this.remake)) {
      this.began = now - (this.frame - this.shot.start) / this.rate * 1000;
      this.told(this.frame, true, true);
    } else if (frame !== this.frame || this.film.shown !== frame) {
      this.frame = frame;
      for (const pane of [this.film, this.remake]) { pane.wanted = frame; pane.draw(frame, false).catch(() => {}); }
      this.told(frame, true);
    }
    requestAnimationFrame(next => this.tick(next));
  }
}
