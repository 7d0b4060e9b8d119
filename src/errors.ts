/**
 * What a user can meet and mend: one error, one cause, one hint. Anything else that is thrown is a bug.
 *
 * `code` is stable and is what `--json` prints; `message` is one line that names the cause; `hint` is one line that
 * says what to do. Neither ever holds a credential.
 */
export class ForerunError extends Error {
  override readonly name = 'ForerunError'
  readonly code: ErrorCode
  readonly hint: string | undefined
  /** Further lines that help to see the cause, such as what a service wrote before it failed. Untrusted text. */
  readonly details: readonly string[]

  constructor(
    code: ErrorCode,
    message: string,
    options: { hint?: string; details?: readonly string[]; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? {} : { cause: options.cause })
    this.code = code
    this.hint = options.hint
    this.details = options.details ?? []
  }
}

export type ErrorCode =
  | 'usage' // words on the command line that cannot be understood
  | 'permission' // not root, or systemd refused the caller
  | 'interrupted' // Ctrl-C, SIGTERM, SIGHUP
  | 'settings' // forerun.conf or another settings file
  | 'reference' // not an image reference or digest
  | 'name' // not a name for a container
  | 'image-not-found' // no such repository, tag, digest, or stored image
  | 'image-in-use'
  | 'platform' // the image has no manifest for this host
  | 'not-an-image' // an artifact, a chart, an attestation, a schema 1 manifest
  | 'manifest' // a manifest, index or configuration that breaks its specification
  | 'registry' // the registry cannot be reached, refuses, or misbehaves
  | 'unauthorized' // 401 or 403
  | 'credentials' // auth.json, a credential helper, login
  | 'policy' // policy.json does not accept the image
  | 'signature' // a signature that cannot be read
  | 'archive' // an image in files or from a daemon: a layout, an archive, that cannot be read
  | 'digest' // bytes that are not what their digest, size or diff id says
  | 'layer' // a truncated or malformed compressed stream or tar archive
  | 'limit' // over a limit that protects the host
  | 'exports' // the metadata under /exports
  | 'template' // a template that cannot be rendered
  | 'configuration' // config.json against the OCI runtime specification
  | 'variable' // --set
  | 'privileges' // power over the host, by files or otherwise, that nobody accepted
  | 'runtime' // no OCI runtime
  | 'rootfs' // --rootfs
  | 'file-exists' // a unit or tmpfiles file in the way
  | 'container-not-found'
  | 'pinned' // a container that is to stay as it is
  | 'no-deployment' // nothing to roll back to
  | 'systemd' // systemd refused, a job failed, no bus
  | 'unit' // a unit that systemd cannot load
  | 'store' // a damaged store
  | 'program' // a program of the host that is missing, cannot be started, or does not come to its end
  | 'checkout' // a method that the file system, or the container's powers, rule out
  | 'mount' // a directory that cannot be mounted at, or is no mount of forerun's, or is in use
  | 'disk-full'
  | 'host-file' // the host's file system refused
  | 'locked'
  | 'journal' // what an earlier command left cannot be settled
