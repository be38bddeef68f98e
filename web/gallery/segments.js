// Where there is speech, from its probability in each frame: silero-vad's own rules.
// (get_speech_timestamps of silero_vad/utils_vad.py 6.2.3, without a longest segment.)

/** At 16 kHz a frame has 512 samples; the model also sees the last 64 of the frame before. */
export const RATE = 16_000, FRAME = 512, CONTEXT = 64;

/** Speech begins at this probability and ends below the other, after so many samples of silence. */
const THRESHOLD = 0.5, LEAVE = 0.35, SILENCE = 0.1 * RATE;

/** Shorter speech is none; what is found is widened by so much on either side. */
const SHORTEST = 0.25 * RATE, PAD = 0.03 * RATE;

/**
 * From when to when there is speech, in samples.
 * @param {readonly number[]} found probabilities @param {number} length of the recording
 * @returns {{start: number, end: number}[]}
 */
export function segments(found, length) {
  /** @type {{start: number, end: number}[]} */
  const parts = [];
  let start = -1, silent = -1;
  const close = (/** @type {number} */ end) => {
    if (end - start > SHORTEST) parts.push({ start, end });
    [start, silent] = [-1, -1];
  };
  found.forEach((p, frame) => {
    const now = frame * FRAME;
    if (p >= THRESHOLD) {
      silent = -1;
      if (start < 0) start = now;
    } else if (p < LEAVE && start >= 0) {
      if (silent < 0) silent = now;
      if (now - silent >= SILENCE) close(silent);
    }
  });
  if (start >= 0) close(length);
  return widened(parts, length);
}

/** Two that come near share the gap between them.
 * @param {{start: number, end: number}[]} parts @param {number} length */
function widened(parts, length) {
  return parts.map(({ start, end }, j) => {
    const before = j ? start - parts[j - 1].end : 2 * start;
    const after = j < parts.length - 1 ? parts[j + 1].start - end : 2 * (length - end);
    return { start: start - Math.min(PAD, Math.floor(before / 2)),
      end: end + Math.min(PAD, Math.floor(after / 2)) };
  });
}
