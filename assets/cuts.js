// What is known of a run, from one step to another: the same rules as ui/cuts.py.

const KEYS = { records: "steps", curve: "curve_steps", epochs: "epoch_steps" };

/** A run as a RunState (frames.js) has it, with the rows and events of some steps alone.
 *  moment  { step, header, arrays } of GET /live/moment: what no growing array tells of that step */
export class Cut {
  constructor(run, { since = 0, until = Infinity, moment = null }) {
    Object.assign(this, { run, since, until, moment });
  }

  get id() { return this.run.id; }
  get seq() { return this.run.seq; }

  get header() {
    const events = (this.run.header.events ?? []).filter(({ step }) => this.since <= step && step <= this.until);
    return { ...this.run.header, ...this.moment?.header, events };
  }

  get(name) {
    const found = this.moment?.arrays.get(name) ?? this.moment?.header.texts[name] ?? this.run.get(name);
    if (!found?.axis) return found;
    const [first, end] = this.rows(found.axis);
    if (first === 0 && end === found.shape[0]) return found;
    const size = found.values.length / Math.max(found.shape[0], 1);
    const values = found.values.subarray(first * size, end * size);
    return { values, shape: [end - first, ...found.shape.slice(1)], axis: found.axis, whole: found, first };
  }

  /** First row of an axis, and the first after the last. */
  rows(axis) {
    const steps = this.run.get(KEYS[axis])?.values ?? [];
    return [firstAtLeast(steps, this.since), this.until === Infinity ? steps.length : firstAbove(steps, this.until)];
  }

  /** Equal for two moments at which all that the names stand for was the same: what a run records
   *  beyond its last step changes nothing here. */
  stamp(names) {
    return [this.run.wholes, this.since, ...names.map((name) => {
      if (this.moment?.arrays.has(name) || name in (this.moment?.header.texts ?? {})) return `at ${this.moment.step}`;
      const axis = this.run.get(name)?.axis;
      return axis && this.until < Infinity ? this.rows(axis).join() : this.run.stamp([name])[1];
    })];
  }
}

/** Sides as they are drawn: a branch beside its parent only from where it left it. */
export function seen(sides) {
  return sides.map((side) => (side.since ? { ...side, run: new Cut(side.run, { since: side.since }) } : side));
}

/** Place of the first of rising numbers that is at least so much; their count where none is. */
export function firstAtLeast(numbers, least) {
  let low = 0, high = numbers.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numbers[middle] < least) low = middle + 1;
    else high = middle;
  }
  return low;
}

function firstAbove(numbers, most) {
  const place = firstAtLeast(numbers, most);
  let end = place;
  while (end < numbers.length && numbers[end] <= most) end += 1;
  return end;
}
