/**
 * Reads JSON where two readers must not understand two things: no member twice in an object, and none that every
 * object of JavaScript has anyway (`constructor`, `__proto__`), over which a schema would stumble.
 *
 * @throws SyntaxError saying what is wrong, in a user's words; with a place only where it is known.
 */
export function parseStrictJson(bytes: Uint8Array): unknown {
  const text = decode(bytes)
  const value = parse(text)
  refuseRepeatedMembers(text)
  return value
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw new SyntaxError('not UTF-8', { cause })
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    // The engine's own message may quote any part of the text.
    const at = /at position (\d+)/.exec((cause as SyntaxError).message)?.[1]
    const line = at === undefined ? '' : ` at line ${text.slice(0, Number(at)).split('\n').length}`
    throw new SyntaxError(`not JSON${line}`, { cause })
  }
}

/** The text is JSON, so that strings and brackets are all there is to look at. No regular expression takes a long string whole. */
function refuseRepeatedMembers(text: string): void {
  const open: (Set<string> | undefined)[] = []
  const token = /["{}[\]]/g
  for (let found = token.exec(text); found !== null; found = token.exec(text)) {
    if (found[0] === '{') open.push(new Set())
    else if (found[0] === '[') open.push(undefined)
    else if (found[0] !== '"') open.pop()
    else {
      token.lastIndex = stringEnd(text, found.index)
      if (isFollowedByColon(text, token.lastIndex)) {
        addMember(open.at(-1), JSON.parse(text.slice(found.index, token.lastIndex)) as string)
      }
    }
  }
}

/** The place after a string's closing quote. */
function stringEnd(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); ; end = text.indexOf('"', end + 1)) {
    let backslashes = 0
    while (text[end - 1 - backslashes] === '\\') backslashes++
    if (backslashes % 2 === 0) return end + 1
  }
}

function isFollowedByColon(text: string, start: number): boolean {
  const next = /\S/g
  next.lastIndex = start
  return next.exec(text)?.[0] === ':'
}

function addMember(names: Set<string> | undefined, name: string): void {
  const shown = name.replace(/\p{Cc}/gu, '?').slice(0, 100)
  if (names?.has(name)) throw new SyntaxError(`'${shown}' is there twice`)
  if (name in Object.prototype) throw new SyntaxError(`'${shown}' is no member of anything`)
  names?.add(name)
}
