export interface Challenge {
  /** Lower case: `bearer`, `basic`. */
  readonly scheme: string
  /** By lower-case name. */
  readonly parameters: ReadonlyMap<string, string>
}

/**
 * Reads a `WWW-Authenticate` header (RFC 9110, section 11.6.1), which may hold several challenges. What comes after
 * something malformed is left out.
 */
export function parseChallenges(header: string): Challenge[] {
  const challenges: { scheme: string; parameters: Map<string, string> }[] = []
  // Each piece is a scheme, or NAME=VALUE of the scheme before it; a value is a token or a quoted string.
  const piece = /[\s,]*([!#$%&'*+.^_`|~\w-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+)))?/y
  for (let match = piece.exec(header); match !== null; match = piece.exec(header)) {
    const [, name = '', quoted, token] = match
    const value = quoted?.replace(/\\(.)/g, '$1') ?? token
    if (value === undefined) challenges.push({ scheme: name.toLowerCase(), parameters: new Map() })
    else challenges.at(-1)?.parameters.set(name.toLowerCase(), value)
  }
  return challenges
}
