/**
 * A file, symbolic link or directory that a deployment put on the host, or shares with another that did. `info` keeps the
 * list; whoever shows, removes, compares or replaces what a container brought reads it there.
 */
export type PlacedFile = {
  readonly role: PlacedRole
  /** Absolute; a path of the host as it is booted. */
  readonly path: string
  readonly uid: number
  readonly gid: number
} & (
  | {
      readonly kind: 'file'
      /** 0 to 0o7777. */
      readonly mode: number
      /** Of its content, as `contentDigest` tells it: SHA-256 in hexadecimal where it has no holes. */
      readonly digest: string
    }
  | { readonly kind: 'symlink'; readonly target: string }
  | { readonly kind: 'directory'; readonly mode: number }
)

/** What it is there for. `enablement`: what makes systemd start the unit, and gives it further names. */
export type PlacedRole = (typeof placedRoles)[number]

export const placedRoles = ['unit', 'drop-in', 'mount', 'tmpfiles', 'enablement', 'host'] as const
