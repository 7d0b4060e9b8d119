import type { Transport } from '../image/location.ts'

/** What policy.json says: containers-policy.json(5). Key files are read when an image is judged, not before. */
export interface Policy {
  /** The file it was read from; undefined where the host has none, and everything is accepted. */
  readonly file: string | undefined
  readonly default: Requirements
  /** Transport -> scope -> requirements. The scope `` is the transport's default. Transports that forerun lacks are here too. */
  readonly transports: ReadonlyMap<string, ReadonlyMap<string, Requirements>>
}

/** At least one; all of them must hold. */
export type Requirements = readonly Requirement[]

export type Requirement =
  | { readonly type: 'insecureAcceptAnything' }
  | { readonly type: 'reject' }
  | SignedByRequirement
  | SigstoreSignedRequirement
  | UnsupportedRequirement

/** One that containers-policy.json(5) has, and no tool can check: what it is asked of is not accepted. */
export interface UnsupportedRequirement {
  readonly type: 'unsupported'
  /** `signedBy with keyType X509Certificates` */
  readonly written: string
}

/** An OpenPGP signature by any of the keys. */
export interface SignedByRequirement {
  readonly type: 'signedBy'
  /** Keyrings, binary or armored. */
  readonly keys: readonly KeyMaterial[]
  readonly signedIdentity: SignedIdentity
}

/** A Sigstore signature. */
export interface SigstoreSignedRequirement {
  readonly type: 'sigstoreSigned'
  readonly authority: SigstoreAuthority
  /** Public keys (PEM) of transparency logs, one of which must have signed the entry's timestamp. Empty: none is asked for. */
  readonly rekorKeys: readonly KeyMaterial[]
  readonly signedIdentity: SignedIdentity
}

export type SigstoreAuthority =
  /** By any of these public keys (PEM). */
  | { readonly kind: 'keys'; readonly keys: readonly KeyMaterial[] }
  /** By a short-lived certificate of Fulcio; there are `rekorKeys` then. At least one of the last two is there; both must match. */
  | {
      readonly kind: 'fulcio'
      /** Certificates (PEM) of its authority. */
      readonly ca: KeyMaterial
      readonly oidcIssuer: string
      readonly subjectEmail: string | undefined
      readonly buildSignerUri: string | undefined
    }
  /** By a certificate of another authority; there are no `rekorKeys` then. At least one of the last two is there; both must match. */
  | {
      readonly kind: 'pki'
      readonly roots: KeyMaterial
      readonly intermediates: KeyMaterial | undefined
      readonly subjectEmail: string | undefined
      readonly subjectHostname: string | undefined
    }

/** A key or certificate of the policy: a file's, or written in the policy itself. `readKeyMaterial` reads both. */
export type KeyMaterial = { readonly path: string } | { readonly data: Buffer }

/** Which name a signature must have been made for. */
export type SignedIdentity =
  | { readonly type: 'matchExact' | 'matchRepoDigestOrExact' | 'matchRepository' }
  | { readonly type: 'exactReference'; readonly dockerReference: string }
  | { readonly type: 'exactRepository'; readonly dockerRepository: string }
  | { readonly type: 'remapIdentity'; readonly prefix: string; readonly signedPrefix: string }

/** Without a policy.json: what is installed on hosts that have no containers tools is the administrator's choice. */
export const acceptEverything: Policy = {
  file: undefined,
  default: [{ type: 'insecureAcceptAnything' }],
  transports: new Map(),
}

/**
 * The requirements for an image: those of its most specific scope alone.
 *
 * @param image `scopes` as `scopesOf` makes them.
 * @returns with `place`, where in the file they are: `docker: registry.example/team`, `default`.
 */
export function requirementsFor(
  policy: Policy,
  image: { transport: Transport; scopes: readonly string[] },
): { requirements: Requirements; place: string } {
  const scopes = policy.transports.get(image.transport)
  for (const scope of [...image.scopes, '']) {
    const requirements = scopes?.get(scope)
    if (requirements !== undefined) return { requirements, place: `${image.transport}: ${scope || 'default'}` }
  }
  return { requirements: policy.default, place: 'default' }
}
