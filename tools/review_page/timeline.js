// All shots in a row, film above remake, and above them the whole film in one line, shots as wide as they are long.

import { picture } from './ask.js';
import { element } from './inspector.js';

/** The frame that stands for a shot: the middle of what is neither dissolved nor faded. */
export function middle(shot) {
  const first = shot.start + shot.in_frames, last = shot.end - shot.out_frames;
  return Math.floor(first < last ? (first + last) / 2 : (shot.start + shot.end) / 2);
}

/** What a shot plays, in words. */
export const played = shot => shot.sources.join(' over ');

function hue(text) {
  let sum = 7;
  for (const c of text) sum = (sum * 31 + c.codePointAt(0)) % 3600;
  return sum / 10;
}

const colour = (shot, chosen) => chosen ? '#56b4e9' : shot.group ? `hsl(${hue(shot.group)} 35% 42%)` : '#4a4a4a';

export class Timeline {
  constructor(list, overview, choose) {
    this.list = list; this.overview = overview; this.items = []; this.told = []; this.state = null; this.chosen = 0;
    overview.addEventListener('click', e => {
      const box = overview.getBoundingClientRect(), frame = (e.clientX - box.left) / box.width * this.state.film.frames;
      const shot = this.state.shots.find(s => frame < s.end);
      if (shot) choose(shot.number);
    });
    list.addEventListener('click', e => {
      const button = e.target.closest('button');
      if (button) choose(Number(button.dataset.shot));
    });
    new ResizeObserver(() => this.draw()).observe(overview);
  }

  show(state, chosen) {
    this.state = state;
    const moved = this.chosen !== chosen;
    this.chosen = chosen;
    state.shots.forEach((shot, i) => {
      const about = JSON.stringify(shot);
      if (!this.items[i]) { this.items[i] = element('li'); this.list.append(this.items[i]); }
      if (this.told[i] !== about) {
        const had = this.items[i].contains(document.activeElement);
        this.items[i].replaceChildren(this.button(shot, state));
        this.told[i] = about;
        if (had) this.items[i].firstChild.focus();
      }
      const button = this.items[i].firstChild;
      if (shot.number === chosen) button.setAttribute('aria-current', 'true'); else button.removeAttribute('aria-current');
    });
    while (this.items.length > state.shots.length) { this.items.pop().remove(); this.told.pop(); }
    if (moved) this.reveal();
    this.draw();
  }

  reveal() {
    const item = this.items[this.chosen - 1];
    if (item) this.list.scrollLeft = item.offsetLeft - this.list.offsetLeft - (this.list.clientWidth - item.offsetWidth) / 2;
  }

  button(shot, state) {
    const ratio = `${state.size[0]} / ${state.size[1]}`;
    const image = (what, more) => {
      const img = element('img', { loading: 'lazy', alt: '', src: picture(what, { frame: middle(shot), h: 72, ...more }) });
      img.style.aspectRatio = ratio;
      return img;
    };
    const marks = [shot.swap ? `plays ${shot.swap}` : '', state.has_score && played(shot) !== 'generator' ? played(shot) : '',
      shot.pins ? `${shot.pins} pinned` : '', shot.bans ? `${shot.bans} banned` : ''].filter(Boolean);
    const remade = !shot.sources.includes('generator') || !state.why_no_remake;
    return element('button', { type: 'button', className: 'shot', 'data-shot': shot.number }, [
      image('film'), state.has_score && remade ? image('remake', { v: shot.stamp }) : null,
      element('span', { className: 'number' }, [
        `${shot.number} `, shot.lock ? element('i', { className: 'lock', role: 'img', 'aria-label': 'locked' }) : null,
        `· ${shot.end - shot.start} fr`]),
      element('span', { className: 'label' }, shot.label || shot.group || '\u00a0'),
      marks.length ? element('span', { className: 'label', title: marks.join(', ') }, marks.join(', ')) : null]);
  }

  draw() {
    if (!this.state) return;
    const { overview } = this, ratio = window.devicePixelRatio || 1, width = Math.round(overview.clientWidth * ratio);
    overview.width = width; overview.height = Math.round(14 * ratio);
    const pen = overview.getContext('2d');
    for (const shot of this.state.shots) {
      const x = shot.start / this.state.film.frames * width, w = (shot.end - shot.start) / this.state.film.frames * width;
      pen.fillStyle = colour(shot, shot.number === this.chosen);
      pen.fillRect(x, 0, Math.max(w - (w > 3 ? ratio : 0), 1), overview.height);
    }
  }
}
