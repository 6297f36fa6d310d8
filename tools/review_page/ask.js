// What the page asks of the server: JSON, pictures, and a shot's pictures as they are made.

export const key = new URLSearchParams(location.search).get('key') || '';

export class Refused extends Error {
  constructor(status, sentence, changed) { super(sentence); this.status = status; this.changed = changed; }
}

async function answer(path, options) {
  let reply;
  try {
    reply = await fetch(path, { ...options, headers: { 'X-Cineml-Key': key, ...(options && options.headers) } });
  } catch (e) {
    if (e.name === 'AbortError') throw e;
    throw new Refused(0, 'cineml review does not answer: it has ended, or is busy', []);
  }
  if (reply.ok) return reply;
  const said = await reply.json().catch(() => ({}));
  throw new Refused(reply.status, said.error || reply.statusText, said.changed || []);
}

export const get = async path => (await answer(path)).json();

export const post = async (path, body) => (await answer(path, {
  method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) })).json();

export function picture(what, about) {
  return `picture/${what}.jpg?${new URLSearchParams({ ...about, key })}`;
}

export const blob = async (path, signal) => (await answer(path, { signal })).blob();

/** Calls take(frame, blob) for each picture of a shot, in order, as it comes. */
export async function pictures(about, signal, take) {
  const reader = (await answer(`play?${new URLSearchParams(about)}`, { signal })).body.getReader();
  let kept = new Uint8Array(0);
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const all = new Uint8Array(kept.length + value.length);
    all.set(kept); all.set(value, kept.length);
    let from = 0;
    const view = new DataView(all.buffer);
    while (all.length - from >= 8 && all.length - from >= 8 + view.getUint32(from + 4)) {
      const length = view.getUint32(from + 4);
      take(view.getUint32(from), new Blob([all.subarray(from + 8, from + 8 + length)], { type: 'image/jpeg' }));
      from += 8 + length;
    }
    kept = all.slice(from);
  }
}
