// Errors in plain words: what happened, and what to do about it.

/** Patterns of an error's name and message, most telling first. @type {[RegExp, string, string][]} */
const WORDS = [
  [/HTTP status 404/, "This site has no such model.",
    "Build the site again: webrt serve --gallery (or make site) downloads what is missing."],
  [/can't be fetched|Failed to fetch|NetworkError|Load failed/, "The model can’t be downloaded.",
    "Check the network connection, then try again: what is there already isn’t downloaded twice."],
  [/the download broke off|HTTP status 5\d\d/, "The download broke off.",
    "Try again: it goes on where it stopped."],
  [/^PackError/, "A file of the model is damaged or doesn’t belong to this site.",
    "Try again; if that doesn’t help, build the site again."],
  [/^DeviceLostError/, "The GPU stopped answering.",
    "Try again, or choose CPU above."],
  [/no WebGPU|WebGPU|adapter/, "This browser has no GPU for this page.",
    "Choose CPU or Automatic, or use a current Chrome, Edge, Firefox or Safari."],
  [/WebAssembly/, "This browser can’t run the CPU’s kernels.",
    "Use a current Chrome, Edge, Firefox or Safari."],
  [/^DeviceError|memory|allocat/, "This device has no room for the model or for this input.",
    "Try a smaller input, or close other tabs and try again."],
  [/NotAllowedError|Permission/, "The browser doesn’t let this page use the microphone.",
    "Allow it in the address bar, or choose a file."],
  [/NotFoundError/, "There is no microphone.", "Connect one, or choose a file."],
  [/EncodingError|decode audio|^AudioError/, "The browser can’t read this file as sound.",
    "Choose another one: WAV, MP3 and Opus work in most browsers."],
  [/InvalidStateError|source image/, "The browser can’t read this file as a picture.",
    "Choose another one: PNG, JPEG and WebP work in most browsers."],
];

/** @param {unknown} error @returns {{what: string, next: string, detail: string}} */
export function plainWords(error) {
  const detail = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const [, what, next] = WORDS.find(([pattern]) => pattern.test(detail))
    ?? [null, "Something went wrong.", "Try again; the details below tell what it was."];
  return { what, next, detail };
}
