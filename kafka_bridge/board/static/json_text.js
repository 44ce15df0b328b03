// Breaks JSON into lines without changing a number or a text, which JSON.parse would.

const STEP = "  ";

/** Returns the text in lines if it is JSON of a reasonable size, else as it is. */
export function inLines(text) {
  if (text.length > 200000) return text;
  try {
    JSON.parse(text);
  } catch {
    return text;
  }
  let result = "";
  let depth = 0;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g)) {
    if (token === "{" || token === "[") {
      depth += 1;
      result += token + line(depth);
    } else if (token === "}" || token === "]") {
      depth -= 1;
      result = /[{[]\s*$/.test(result.slice(-depth * 2 - 6)) ? result.trimEnd() + token : result + line(depth) + token;
    } else if (token === ",") result += token + line(depth);
    else result += token === ":" ? ": " : token;
    if (result.length > 2000000) return text;
  }
  return result;
}

function line(depth) {
  return `\n${STEP.repeat(depth)}`;
}
