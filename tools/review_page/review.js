// The page as a whole: one state from the server, one chosen shot, every deed sent in order and shown when it is written.

import { get, picture, post } from './ask.js';
import { element, Inspector } from './inspector.js';
import { Player } from './player.js';
import { played, Timeline } from './timeline.js';

const at = id => document.getElementById(id);
const AROUND = 5; // frames shown before the cut, and after it
let state = null, details = null, chosen = 1, looking = null, queue = Promise.resolve();

const say = sentence => { at('said').textContent = sentence; };
const shot = () => state.shots[chosen - 1];
const player = new Player(at('film'), at('remake'), told, say);
const timeline = new Timeline(at('shots'), at('overview'), number => choose(number));
const inspector = new Inspector(at('inspector'), deed => edit(deed), look, () => player.frame);

function told(frame, playing, waiting) {
  const s = state && shot();
  if (!s) return;
  at('at').value = frame;
  at('place').textContent = `${waiting ? 'making \u2026 · ' : ''}frame ${frame} · ${frame - s.start + 1} of ${s.end - s.start}`;
  at('play').textContent = playing ? 'Stop' : 'Play';
}

function look(candidate) {
  looking = candidate && candidate.id;
  show();
}

/** What the right pane shows: the remake, or a candidate that is looked at. */
function right() {
  const s = shot();
  const candidate = looking && details && details.candidates.find(c => c.id === looking);
  if (candidate && !state.why_no_remake) {
    return { text: `Candidate: ${candidate.why}`, mark: `candidate ${candidate.id} ${candidate.stamp}`,
      play: { kind: 'candidate', shot: s.number, id: candidate.id },
      still: frame => picture('candidate', { shot: s.number, id: candidate.id, frame, h: state.size[1],
        v: `${candidate.stamp} ${s.start} ${s.end}` }) };
  }
  if (!state.has_score || (s.sources.includes('generator') && state.why_no_remake)) return null;
  return { text: `Remake${played(s) === 'generator' ? '' : `: ${played(s)}`}`, mark: s.stamp, play: { kind: 'remake', shot: s.number },
    still: frame => picture('remake', { frame, h: state.size[1], v: s.stamp }) };
}

function show(frame) {
  const s = shot();
  document.title = `${state.name}: shot ${s.number} · cineml review`;
  at('name').textContent = state.name;
  at('facts').textContent = `${state.film.name} · ${state.film.frames} frames · ${state.shots.length} shots`
    + (state.again.length ? ` · to remap again: shot ${state.again.join(', ')}` : '');
  at('undo').disabled = !state.undo; at('undo').title = state.undo ? `Undo: ${state.undo} (U)` : 'Undo (U)';
  at('redo').disabled = !state.redo; at('redo').title = state.redo ? `Redo: ${state.redo} (Shift + U)` : 'Redo (Shift + U)';
  at('at').min = s.start; at('at').max = s.end - 1;
  const pane = right();
  document.body.classList.toggle('alone', !state.has_score);
  at('right').textContent = pane ? pane.text : state.why_no_remake && state.has_score ? `No remake: ${state.why_no_remake}` : 'No remake yet';
  at('right').title = at('right').textContent;
  player.load(s, state.film.rate, state.size, pane, frame);
  timeline.show(state, chosen);
  inspector.show(state, s, details && details.number === s.number ? details : null, looking);
  strip(s);
  notice();
}

function strip(s) {
  at('cutname').textContent = s.number === 1 ? 'The film begins' : `Cut into shot ${s.number}: frame ${s.start}`;
  at('earlier').disabled = at('later').disabled = s.number === 1;
  at('cuthint').hidden = s.number === 1;
  const before = state.shots[s.number - 2], first = Math.max(before ? before.start : 0, s.start - AROUND);
  const frames = [];
  for (let f = first; f < Math.min(s.end, s.start + AROUND); f++) frames.push(f);
  const mark = `${s.number} ${s.start} ${frames.join()}`;
  if (at('strip').dataset.mark === mark) return;
  const had = at('strip').contains(document.activeElement) ? document.activeElement.dataset.frame : '';
  at('strip').dataset.mark = mark;
  at('strip').replaceChildren(...frames.map(frame => {
    const image = element('img', { alt: '', src: picture('film', { frame, h: 96 }) });
    image.style.aspectRatio = `${state.size[0]} / ${state.size[1]}`;
    return element('button', { type: 'button', 'data-frame': frame, disabled: s.number === 1,
      className: `${frame >= s.start ? 'inside' : ''} ${frame === s.start ? 'first' : ''}`,
      'aria-label': frame === s.start ? `Frame ${frame}, the first of this shot` : `Begin this shot at frame ${frame}`,
      onclick: () => { if (frame !== shot().start) edit({ deed: 'move', shot: shot().number, to: frame }); } }, [image, String(frame)]);
  }));
  const begins = at('strip').querySelector('.first');
  if (begins) at('strip').scrollLeft = begins.offsetLeft - at('strip').offsetLeft - at('strip').clientWidth / 2;
  const again = had && at('strip').querySelector(`[data-frame="${had}"]`);
  if (again) again.focus();
}

function notice() {
  const parts = [];
  if (state.changed.length) {
    parts.push(element('p', {}, `${state.changed.join(' and ')} changed on disk: another program wrote there. Nothing is written over it.`),
      element('button', { type: 'button', id: 'reload', onclick: () => send('api/reload', {}) }, 'Read it again'),
      element('button', { type: 'button', id: 'overwrite', onclick: () => send('api/overwrite', {}) }, 'Write mine, keep a copy of theirs'));
  }
  if (state.problems.length) parts.push(element('p', {}, `To mend: ${state.problems.join(' · ')}`));
  at('notice').replaceChildren(...parts);
  at('notice').hidden = !parts.length;
}

async function learn() {
  const number = chosen;
  try {
    const found = await get(`api/shot?shot=${number}`);
    if (number === chosen && found.version >= state.version) { details = found; show(); }
  } catch (e) { say(e.message); }
}

/** Takes a state from the server, but for one that comes after a newer one: the next deed would be sent with its version. The
 * chosen shot stays the one at the frame that is seen, whatever its number is now. */
function take(next) {
  if (state && next.version < state.version) return;
  const frame = player.frame, was = state && shot();
  state = next;
  const same = was && state.shots[chosen - 1];
  if (!same || same.start !== was.start) {
    const here = state.shots.find(s => frame < s.end) || state.shots[state.shots.length - 1];
    if (!same || Math.abs(same.start - was.start) > AROUND) chosen = here.number;
  }
  chosen = Math.min(Math.max(chosen, 1), state.shots.length);
  show();
  learn();
}

function choose(number, frame) {
  chosen = Math.min(Math.max(number, 1), state.shots.length);
  looking = null; details = null;
  show(frame === undefined ? shot().start : frame);
  learn();
}

/** Sends deeds one after another: each knows the state that the one before it has made, and one that is given as a function is
 * made of that state (null: there is nothing to do). */
function send(path, deed) {
  queue = queue.then(async () => {
    try {
      const body = typeof deed === 'function' ? deed() : deed;
      if (!body) return;
      const next = await post(path, { ...body, version: state.version });
      if (body.deed === 'swap') looking = null;
      if (body.deed === 'split') { chosen = body.shot + 1; }
      take(next);
      say(next.said);
    } catch (e) {
      say(e.message);
      if (e.status === 409 || e.status === 412) { await refresh(); say(e.message); } else if (state) show();
    }
  });
  return queue;
}

const edit = deed => send('api/edit', deed);

async function refresh() {
  try { take(await get('api/state')); } catch (e) { say(e.message); }
}

async function watch() {
  if (!document.hidden && state) {
    try {
      const found = await get('api/changed');
      if (found.version !== state.version) await refresh();
      else if (found.changed.join() !== state.changed.join()) { state.changed = found.changed; notice(); }
    } catch (e) { say(e.message); }
  }
  setTimeout(watch, 3000);
}

/** The key latent that a hand means: the last one at the frame that is seen, or before it. */
function keyHere() {
  const keys = details ? details.keys.filter(k => k.frame <= player.frame) : [];
  return keys.length ? keys[keys.length - 1] : details && details.keys[0];
}

function mark(what) {
  const found = keyHere();
  if (found) edit({ deed: 'key', shot: chosen, name: found.name, mark: found.mark === what ? '' : what });
}

/** A deed that depends on what the chosen shot is by then. */
function editShot(made) {
  const number = chosen;
  edit(() => (state.shots[number - 1] ? made(state.shots[number - 1]) : null));
}

function longer(by) {
  editShot(s => {
    if (s.into !== 'cut') return { deed: 'in', shot: s.number, kind: s.into, frames: s.in_frames + by, colour: s.in_colour };
    say('This shot comes in by a cut; choose dissolve or fade first.');
    return null;
  });
}

function keys(open = at('keys').hidden) {
  at('keys').hidden = !open;
  at('help').setAttribute('aria-expanded', String(open));
}

const DEEDS = {
  j: () => choose(chosen + 1), k: () => choose(chosen - 1),
  ',': () => step(-1), '.': () => step(1),
  '[': () => edit({ deed: 'nudge', shot: chosen, by: -1 }), ']': () => edit({ deed: 'nudge', shot: chosen, by: 1 }),
  '{': () => after(-1), '}': () => after(1), d: () => longer(1), D: () => longer(-1),
  x: () => edit({ deed: 'split', shot: chosen, at: player.frame }), m: () => edit({ deed: 'join', shot: chosen }),
  l: () => editShot(s => ({ deed: 'lock', shot: s.number, on: !s.lock })), p: () => mark('pin'), b: () => mark('ban'),
  t: () => at('shot-label').focus(), g: () => at('shot-group').focus(),
  u: () => send('api/undo', {}), U: () => send('api/redo', {}), '?': () => keys(), Escape: () => keys(false),
};

function after(by) {
  if (chosen < state.shots.length) edit({ deed: 'nudge', shot: chosen + 1, by });
  else say('The last shot ends where the film does.');
}

function step(by) {
  if (player.playing) player.pause();
  player.seek(player.frame + by);
}

const WRITTEN_IN = 'input[type=text], input[type=number]';

document.addEventListener('keydown', e => {
  if (!state || e.altKey) return;
  const on = e.target instanceof Element ? e.target : document.body;
  if (e.ctrlKey || e.metaKey) {
    if (e.key.toLowerCase() === 'z' && !on.matches('input[type=text]')) {
      e.preventDefault();
      send(e.shiftKey ? 'api/redo' : 'api/undo', {});
    }
    return;
  }
  if (on.matches(WRITTEN_IN)) return;
  if (e.key === ' ') { // never a button that was clicked last and still has the focus: Enter presses those
    e.preventDefault();
    if (!e.repeat) player.toggle();
    return;
  }
  if (on.matches('select')) return;
  if (e.key === 'Enter' && on.matches('input[type=checkbox]')) on.click();
  const deed = DEEDS[e.key];
  if (deed) { e.preventDefault(); deed(); }
});
// A button under the focus would be pressed when Space goes up again.
document.addEventListener('keyup', e => { if (e.key === ' ' && e.target.matches && !e.target.matches(WRITTEN_IN)) e.preventDefault(); });

at('undo').addEventListener('click', DEEDS.u);
at('redo').addEventListener('click', DEEDS.U);
at('help').addEventListener('click', () => keys());
at('play').addEventListener('click', () => player.toggle());
at('back').addEventListener('click', DEEDS[',']);
at('on').addEventListener('click', DEEDS['.']);
at('earlier').addEventListener('click', DEEDS['[']);
at('later').addEventListener('click', DEEDS[']']);
at('at').addEventListener('input', e => { if (player.playing) player.pause(); player.seek(Number(e.target.value)); });

refresh().then(() => { if (state) { choose(1); watch(); } });
