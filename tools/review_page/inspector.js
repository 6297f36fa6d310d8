// All about one shot: words, lock, transitions, the walks it might play, its key latents.

import { picture } from './ask.js';

/** An element with properties (or attributes, where there is no such property) and children: elements, texts, null. */
export function element(name, about = {}, children = []) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(about)) {
    if (key.startsWith('on')) made.addEventListener(key.slice(2), value);
    else if (key in made) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...[].concat(children).filter(c => c !== null && c !== undefined));
  return made;
}

function choice(id, label, values, value, take) {
  // Chosen by pointer it lets the focus go: the page's keys would be taken for the first letters of its words.
  let pointed = false;
  const made = element('select', { id, 'aria-label': label, onpointerdown: () => { pointed = true; },
    onkeydown: () => { pointed = false; }, onchange: e => { if (pointed) e.target.blur(); take(e.target.value); } },
    values.map(v => element('option', { value: v, textContent: v })));
  made.value = value;
  return made;
}

const field = (text, ...parts) => element('div', { className: 'field' }, [element('span', {}, text), element('div', {}, parts)]);

const FIRST = 6; // candidates shown before all are asked for

export class Inspector {
  /** edit(deed): does it. look(candidate or null): shows a candidate in the right pane. */
  constructor(place, edit, look, frame) {
    this.place = place; this.edit = edit; this.look = look; this.frame = frame; this.details = null;
  }

  show(state, shot, details, looking) {
    const had = document.activeElement && this.place.contains(document.activeElement) ? document.activeElement.id : '';
    // What is being typed or selected outlasts a redraw; dirty says that it is not sent yet.
    const { value: typed, selectionStart: from, selectionEnd: to, dataset: { dirty } } = had ? document.activeElement : { dataset: {} };
    this.redrawing = true;
    this.details = details;
    const scrolled = this.place.scrollTop;
    this.place.replaceChildren(...this.head(state, shot), ...this.ends(shot), ...this.deeds(state, shot),
      ...this.candidates(state, shot, details, looking), ...this.keys(state, shot, details));
    this.redrawing = false;
    this.place.scrollTop = scrolled;
    const again = had && document.getElementById(had);
    if (again) {
      again.focus();
      if (dirty) { again.value = typed; again.dataset.dirty = dirty; }
      if (again.selectionStart !== null && from !== null && from !== undefined) again.setSelectionRange(from, to); // of a text
    }
  }

  head(state, shot) {
    const said = (which, label) => {
      const id = `shot-${which}`;
      const send = e => {
        if (!e.target.dataset.dirty || this.redrawing) return;
        delete e.target.dataset.dirty;
        this.edit({ deed: which, shot: shot.number, text: e.target.value });
      };
      const input = element('input', { id, type: 'text', value: shot[which], maxLength: 200, autocomplete: 'off', spellcheck: false,
        oninput: e => { e.target.dataset.dirty = '1'; },
        onchange: send, onblur: send,
        onkeydown: e => {
          if (e.key === 'Enter') e.target.blur();
          if (e.key === 'Escape') { e.target.value = shot[which]; delete e.target.dataset.dirty; e.target.blur(); }
        } });
      if (which === 'group') input.setAttribute('list', 'groups');
      return element('div', { className: 'field' }, [element('label', { htmlFor: id }, label), input]);
    };
    const groups = [...new Set(state.shots.map(s => s.group).filter(Boolean))];
    const parts = [element('h2', {}, `Shot ${shot.number} of ${state.shots.length}`),
      element('p', { className: 'faint' }, `${shot.timecode} · frames ${shot.start} to ${shot.end - 1}, ${shot.end - shot.start} in all`),
      said('label', 'Label'), said('group', 'Group'),
      element('datalist', { id: 'groups' }, groups.map(g => element('option', { value: g })))];
    if (!state.has_score) return [...parts, element('p', { className: 'faint' }, 'This show has no score yet: cineml remap makes one.')];
    const sources = ['generator', 'film', 'black'].concat(['generator', 'film', 'black'].includes(shot.source) ? [] : [shot.source]);
    const lock = element('input', { id: 'lock', type: 'checkbox', checked: shot.lock,
      onchange: e => this.edit({ deed: 'lock', shot: shot.number, on: e.target.checked }) });
    parts.push(element('div', { className: 'field' }, [element('label', { htmlFor: 'lock' }, 'Locked'),
      element('div', {}, [lock, element('span', { className: 'faint' }, 'remap leaves its walk alone')])]));
    parts.push(field('Plays', choice('source', 'What the shot plays', sources, shot.source,
      source => this.edit({ deed: 'source', shot: shot.number, source })),
    element('span', { className: 'faint' }, shot.sources.includes('generator') ? shot.walk + (shot.swap ? `, from ${shot.swap}` : '') : '')));
    if (shot.sources.length > 1) parts.push(element('p', { className: 'faint', id: 'mix' }, `over ${shot.sources[1]}, mix ${shot.mix}`));
    if (shot.into === 'dissolve') {
      parts.push(field('Enters by', choice('entry', 'How the walk enters', ['jump', 'glide'], shot.entry,
        entry => this.edit({ deed: 'entry', shot: shot.number, entry }))));
    }
    return parts;
  }

  ends(shot) {
    const end = (deed, label, kind, kinds, frames, colour) => {
      const now = { deed, shot: shot.number, kind, frames, colour };
      const change = more => this.edit({ ...now, ...more });
      const kindOf = k => change({ kind: k, frames: k === 'cut' ? 0 : Math.max(frames, Math.min(12, shot.end - shot.start)),
        colour: k === 'fade' ? colour || 'black' : '' });
      const parts = [choice(`${deed}-kind`, `${label} by`, kinds, kind, kindOf)];
      if (kind !== 'cut') {
        parts.push(element('input', { id: `${deed}-frames`, type: 'number', min: 1, max: shot.end - shot.start, value: frames,
          'aria-label': `${label}: frames`, onchange: e => change({ frames: Math.round(Number(e.target.value)) || 0 }) }));
      }
      if (kind === 'fade') parts.push(choice(`${deed}-colour`, `${label}: colour`, ['black', 'white'], colour, c => change({ colour: c })));
      return field(label, ...parts);
    };
    return [end('in', 'Comes in', shot.into, shot.number === 1 ? ['cut', 'fade'] : ['cut', 'dissolve', 'fade'], shot.in_frames,
      shot.in_colour), end('out', 'Ends', shot.out, ['cut', 'fade'], shot.out_frames, shot.out_colour)];
  }

  deeds(state, shot) {
    return [element('div', { className: 'row' }, [
      element('button', { id: 'split', type: 'button', title: 'X', disabled: shot.end - shot.start < 2,
        onclick: () => this.edit({ deed: 'split', shot: shot.number, at: this.frame() }) }, 'Split at this frame'),
      element('button', { id: 'join', type: 'button', title: 'M', disabled: shot.number === state.shots.length,
        onclick: () => this.edit({ deed: 'join', shot: shot.number }) }, 'Join with the next')])];
  }

  candidates(state, shot, details, looking) {
    if (!details || !state.has_score) return [];
    const at = Math.floor((shot.start + shot.end) / 2);
    const shown = this.all === shot.number ? details.candidates : details.candidates.filter((c, i) => i < FIRST || c.id === looking);
    // Ids by what they are of, not by their place: the focus that comes back must not be on another walk's button.
    const cards = shown.map(c => {
      const image = element('img', { loading: 'lazy', alt: `What ${c.why} would show here`,
        src: picture('candidate', { shot: shot.number, id: c.id, frame: at, h: 72, v: `${c.stamp} ${shot.start} ${shot.end}` }) });
      image.style.aspectRatio = `${state.size[0]} / ${state.size[1]}`;
      const seen = looking === c.id;
      return element('li', { className: c.near ? 'card near' : 'card' }, [image, element('div', {}, [
        element('p', {}, c.why), element('div', { className: 'row' }, [
          element('button', { id: `look ${c.id}`, type: 'button', 'aria-pressed': String(seen), 'aria-label': `Look at ${c.why}`,
            onclick: () => this.look(seen ? null : c) }, 'Look'),
          element('button', { id: `use ${c.id}`, type: 'button', 'aria-label': `Use ${c.why}`,
            onclick: () => this.edit({ deed: 'swap', shot: shot.number, candidate: c.id }) }, 'Use')])])]);
    });
    const told = state.why_no_remake ? `No pictures of them: ${state.why_no_remake}` : '';
    const more = shown.length === details.candidates.length ? null : element('button', { id: 'more', type: 'button', onclick: () => {
      this.all = shot.number;
      this.show(state, shot, details, looking);
    } }, `All ${details.candidates.length}`);
    return [element('h2', {}, `Other walks (${details.candidates.length})`), told ? element('p', { className: 'faint' }, told) : null,
      element('ul', { className: 'cards', id: 'candidates' }, cards), more && element('div', { className: 'row' }, more)].filter(Boolean);
  }

  keys(state, shot, details) {
    if (!details || !(details.keys.length + details.elsewhere.length)) return [];
    const one = k => {
      const mark = (what, text) => element('button', { id: `${what} ${k.name}`, type: 'button', className: what,
        'aria-pressed': String(k.mark === what), 'aria-label': `${text} ${k.name}`,
        onclick: () => this.edit({ deed: 'key', shot: shot.number, name: k.name, mark: k.mark === what ? '' : what }) }, text);
      const image = element('img', { loading: 'lazy', alt: '', src: picture('key', { name: k.name, h: 72, v: k.stamp || '' }) });
      image.style.aspectRatio = `${state.size[0]} / ${state.size[1]}`;
      return element('li', { className: `key ${k.mark} ${k.inside === false ? 'outside' : ''}` }, [image, k.name,
        element('div', {}, [mark('pin', 'Pin'), mark('ban', 'Ban')])]);
    };
    const all = [...details.keys, ...details.elsewhere];
    return [element('h2', {}, `Key latents (${all.length})`),
      element('p', { className: 'faint' }, 'The next remap keeps pinned ones and does without banned ones.'),
      element('ul', { className: 'keys' }, all.map(one))];
  }
}
