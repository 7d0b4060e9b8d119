import { ForerunError } from '../errors.ts'
import { formatReference } from '../image/reference.ts'
import type { JudgedImage, Verdict } from './judgement.ts'
import { namedKeys } from './key-material.ts'
import { type Policy, type Requirement, requirementsFor, type SigstoreSignedRequirement } from './policy.ts'
import { verifySignedBy } from './signed-by.ts'

/**
 * Returns when the policy accepts the image: all requirements of its most specific scope hold. What they need is
 * fetched only when they need it.
 *
 * @throws ForerunError `policy` that names the file, the scope, the requirement and what was found instead.
 */
export async function judgeImage(policy: Policy, image: JudgedImage): Promise<void> {
  const { requirements, place } = requirementsFor(policy, image)
  for (const requirement of requirements) {
    const verdict = await judge(requirement, image)
    if (!verdict.accepted) throw refusal({ policy, place, image, requirement, verdict })
  }
}

async function judge(requirement: Requirement, image: JudgedImage): Promise<Verdict> {
  switch (requirement.type) {
    case 'insecureAcceptAnything':
      return { accepted: true }
    case 'reject':
    case 'unsupported':
      return { accepted: false, reasons: [] }
    case 'signedBy':
      return verifySignedBy(requirement, image)
    case 'sigstoreSigned': {
      // Most runs need none of it.
      const { verifySigstore } = await import('./sigstore/verify-sigstore.ts')
      return verifySigstore(requirement, image)
    }
  }
}

function refusal(found: {
  policy: Policy
  place: string
  image: JudgedImage
  requirement: Requirement
  verdict: Exclude<Verdict, { accepted: true }>
}): ForerunError {
  const { policy, place, image, requirement } = found
  const { reasons, hint = reasons.length === 0 ? noneHint(requirement) : someHint } = found.verdict
  const { reference } = image
  const name = reference === undefined ? 'the image' : formatReference(reference)
  const source = `${policy.file ?? 'policy.json'} (${place})`
  if (requirement.type === 'reject') {
    return new ForerunError('policy', `${name} is not accepted: ${source} rejects it`, {
      hint: `To accept what somebody signs there: ${addCommand(image)}`,
    })
  }
  if (requirement.type === 'unsupported') {
    return new ForerunError('policy', `${name} is not accepted: ${source} wants ${requirement.written}`, {
      hint: 'Neither forerun nor the containers tools can check that. Use signedBy with GPGKeys, or sigstoreSigned.',
    })
  }
  const signatures = reasons.length === 0 ? 'found none' : `found ${reasons.length}: ${shownReasons(reasons)}`
  const message = `${name} is not accepted: ${source} wants ${described(requirement)}; ${signatures}`
  return new ForerunError('policy', message, { hint })
}

const someHint =
  'If another key or another name is right, say so in policy.json (forerun trust show); else do not use the image.'

function noneHint(requirement: Requirement): string {
  return requirement.type === 'sigstoreSigned'
    ? 'Sign it with cosign, and set use-sigstore-attachments for its registry in /etc/containers/registries.d.'
    : 'Say where its signatures are with lookaside in /etc/containers/registries.d (forerun trust add --lookaside URL).'
}

/** For the repository, or the folder, rather than for the one image. */
function addCommand({ transport, scopes }: JudgedImage): string {
  const scope = scopes[1] ?? scopes[0] ?? "''"
  return `forerun trust add ${transport === 'docker' ? '' : `--sigstoretype ${transport} `}--pubkeys FILE ${scope}`
}

function described(requirement: Requirement): string {
  if (requirement.type === 'signedBy') return `a signature by ${namedKeys(requirement.keys)}`
  return requirement.type === 'sigstoreSigned' ? `a Sigstore signature by ${describedAuthority(requirement)}` : ''
}

function describedAuthority({ authority }: SigstoreSignedRequirement): string {
  switch (authority.kind) {
    case 'keys':
      return namedKeys(authority.keys)
    case 'fulcio':
      return `${[authority.subjectEmail, authority.buildSignerUri].filter(Boolean).join(' and ')} of ${authority.oidcIssuer}`
    case 'pki':
      return [authority.subjectEmail, authority.subjectHostname].filter(Boolean).join(' and ')
  }
}

/** A store may hold any number of them. */
const mostReasons = 5

function shownReasons(reasons: readonly string[]): string {
  const more = reasons.length - mostReasons
  return [...reasons.slice(0, mostReasons), ...(more > 0 ? [`and ${more} more`] : [])].join(', ')
}
