// Frames as bytes -> what is known of a run. The format is told in ui/frames.py.

const TYPES = {
  float32: Float32Array, float64: Float64Array, uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array,
};
const ALIGN = 8;

/** Header and typed arrays of one frame. */
export function decode(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  let place = 4 + length;
  const arrays = header.arrays.map(([name, dtype, shape, axis]) => {
    const values = new TYPES[dtype](buffer, place, shape.reduce((a, b) => a * b, 1));
    place += Math.ceil(values.byteLength / ALIGN) * ALIGN;
    return { name, values, shape, axis };
  });
  return { header, arrays };
}

/** What one frame alone tells: { header, arrays: name -> { values, shape, words } }. */
export function momentOf(buffer) {
  const { header, arrays } = decode(buffer);
  return { header, arrays: new Map(arrays.map(({ name, values, shape }) => [name, { values, shape, words: [] }])) };
}

/** Everything the frames of one run have told so far. */
export class RunState {
  constructor(id) {
    this.id = id;
    this.wholes = 0; // frames that began anew
    this.clear();
  }

  clear() {
    this.seq = 0;
    this.header = {};
    this.arrays = new Map(); // name -> { values, shape, axis, words }
    this.changed = new Map(); // name -> number of the frame that changed it last
  }

  /** Take a frame in; false where one before it is missing and a whole one is needed. */
  apply({ header, arrays }) {
    if (header.full) { this.clear(); this.wholes += 1; }
    else if (header.seq <= this.seq) return true; // seen
    else if (header.seq !== this.seq + 1) return false;
    this.seq = header.seq;
    const { keep, arrays: _, ...told } = header;
    for (const [name, text] of Object.entries(told.texts ?? {})) {
      if (JSON.stringify(text) !== JSON.stringify(this.header.texts?.[name])) this.changed.set(name, this.seq);
    }
    delete this.header.error;
    Object.assign(this.header, told);
    for (const [name, array] of this.arrays) {
      if (array.axis && cut(array, keep[array.axis])) this.changed.set(name, this.seq);
    }
    for (const { name, values, shape, axis } of arrays) {
      this.changed.set(name, this.seq);
      const old = this.arrays.get(name);
      this.arrays.set(name, axis && old ? grown(old, values, shape) : { values, shape, axis, words: [] });
    }
    return true;
  }

  /** A named array, or a text or list of texts; undefined where there is none. */
  get(name) {
    return this.arrays.get(name) ?? this.header.texts?.[name];
  }

  /** Equal for two moments at which all that the names stand for was the same. */
  stamp(names) {
    return [this.wholes, ...names.map((name) => this.changed.get(name) ?? 0)];
  }
}

function rowSize(shape) {
  return shape.slice(1).reduce((a, b) => a * b, 1);
}

/** Keep the first rows alone; whether there were more. */
function cut(array, rows) {
  if (rows === undefined || rows >= array.shape[0]) return false;
  array.values = array.values.subarray(0, rows * rowSize(array.shape));
  array.shape = [rows, ...array.shape.slice(1)];
  array.words.length = Math.min(array.words.length, rows);
  return true;
}

function grown(old, added, shape) {
  const values = new old.values.constructor(old.values.length + added.length);
  values.set(old.values);
  values.set(added, old.values.length);
  return { values, shape: [old.shape[0] + shape[0], ...shape.slice(1)], axis: old.axis, words: old.words };
}
