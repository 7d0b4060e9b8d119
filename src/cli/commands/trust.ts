import { type Command, InvalidArgumentError, Option } from 'commander'
import type { TrustKey, TrustRow } from '../../operations/access/show-trust.ts'
import type { TrustChange, TrustRequest } from '../../operations/access/trust.ts'
import { formatTable } from '../output/table.ts'
import { groupCommand, perform, resultCommand, type Session } from '../session.ts'
import { collect } from './options.ts'

export function trustCommand(session: Session): Command {
  return groupCommand('trust', {
    summary: "see and edit whose images are accepted: the containers tools' policy.json",
    examples: [
      'forerun trust show',
      'forerun trust add -k /etc/pki/containers/acme.gpg --lookaside https://signatures.example.com registry.example.com/acme',
      'forerun trust add --type sigstoreSigned -k cosign.pub --identity matchRepository registry.example.com/acme',
      'forerun trust default reject',
    ],
  })
    .addCommand(showCommand(session))
    .addCommand(addCommand(session))
    .addCommand(deleteCommand(session))
    .addCommand(defaultCommand(session))
}

function showCommand(session: Session): Command {
  return resultCommand('show', {
    summary: 'list what is required of images, or of those of a scope',
    examples: [
      'forerun trust show',
      'forerun trust show registry.example.com/acme/etcd:3.5',
      'forerun trust show --raw',
    ],
  })
    .argument('[SCOPE]', 'a scope of policy.json, or an image')
    .addOption(new Option('-j', 'as --json').hideHelp())
    .option('--raw', 'print policy.json as it is')
    .option('-n, --no-heading', 'print no heading')
    .action(async (scope: string | undefined, options: { raw?: boolean; heading: boolean; j?: boolean }) => {
      const { rawTrust, showTrust } = await import('../../operations/access/show-trust.ts')
      const { heading } = options
      if (options.raw === true) {
        await perform(
          { ...session, json: false },
          async () => rawTrust(),
          (text) => text,
        )
        return
      }
      const shown = { ...session, json: session.json || options.j === true }
      await perform(
        shown,
        async () => showTrust(scope),
        ({ rows }) => table(rows, { heading }),
      )
    })
}

const headings = ['TRANSPORT', 'SCOPE', 'TYPE', 'KEYS', 'STORE']

function table(rows: readonly TrustRow[], { heading }: { heading: boolean }): string {
  const cells = rows.map(({ transport, scope, type, keys, store }) => {
    return [transport || 'all', scope, type, keys.map(shownKey).join(', '), store ?? '']
  })
  return formatTable(headings, cells, { heading })
}

/** Whose it is, where that can be told. */
function shownKey({ file, keys }: TrustKey): string {
  const ids = (keys ?? []).map(({ fingerprint, users }) => [fingerprint.slice(-16), ...users.slice(0, 1)].join(' '))
  return ids.length > 0 ? ids.join(', ') : (file ?? 'in policy.json')
}

interface AddOptions {
  readonly type: TrustRequest['type']
  readonly pubkeys?: string[]
  readonly pubkeysfile?: string[]
  readonly identity?: string
  readonly lookaside?: string
  readonly sigstore?: string
  readonly sigstoretype: string
}

function addCommand(session: Session): Command {
  return resultCommand('add', {
    summary: 'say what is required of images, in place of what was before',
    examples: [
      'forerun trust add -k /etc/pki/containers/acme.gpg registry.example.com/acme',
      'forerun trust add --type accept registry.example.com/acme/open',
      'forerun trust add --type reject --sigstoretype oci /srv/images',
    ],
  })
    .argument('<SCOPE>', "REGISTRY[/NAMESPACE…][:TAG], *.DOMAIN, a path, or 'default'")
    .addOption(
      new Option('-t, --type <TYPE>', 'signedBy, sigstoreSigned, accept (also insecureAcceptAnything) or reject')
        .argParser(parseType)
        .default('signedBy'),
    )
    .option('-k, --pubkeys <FILE>', 'a public key; may be repeated: then each must have signed', collect)
    .option('-f, --pubkeysfile <FILE>', 'as --pubkeys', collect)
    .addOption(
      new Option('--identity <KIND>', 'which name must have been signed').choices([
        ...['matchRepoDigestOrExact', 'matchExact', 'matchRepository'],
      ]),
    )
    .option('--lookaside <URL>', 'where signatures of gpg are: file:///…, http://… or https://…')
    .option('-s, --sigstore <URL>', 'as --lookaside')
    .addOption(transportOption())
    .addOption(new Option('--keytype <TYPE>', 'kind of key').choices(['GPGKeys']).default('GPGKeys').hideHelp())
    .action((scope: string, options: AddOptions) =>
      perform(
        session,
        async (context) => {
          const { addTrust } = await import('../../operations/access/trust.ts')
          return addTrust(requestOf(scope, options), context)
        },
        describe,
      ),
    )
}

function requestOf(scope: string, options: AddOptions): TrustRequest {
  const { type, pubkeys = [], pubkeysfile = [], identity, sigstoretype } = options
  const lookaside = options.lookaside ?? options.sigstore
  return {
    ...{ scope, type, keys: [...pubkeys, ...pubkeysfile], transport: sigstoretype },
    ...(identity !== undefined && { identity }),
    ...(lookaside !== undefined && { lookaside }),
  }
}

function parseType(word: string): TrustRequest['type'] {
  if (word === 'accept') return 'insecureAcceptAnything'
  if (word === 'insecureAcceptAnything' || word === 'reject' || word === 'signedBy' || word === 'sigstoreSigned') {
    return word
  }
  throw new InvalidArgumentError('Write signedBy, sigstoreSigned, accept or reject.')
}

/** The old tool's words, too: its `web` is a registry, and its `local` a folder. */
const transports: Readonly<Record<string, string>> = {
  ...{ docker: 'docker', web: 'docker', local: 'dir', dir: 'dir', atomic: 'atomic', oci: 'oci' },
  ...{ 'oci-archive': 'oci-archive', 'docker-archive': 'docker-archive', 'docker-daemon': 'docker-daemon' },
  'containers-storage': 'containers-storage',
}

function transportOption(): Option {
  const names = Object.keys(transports).filter((name) => transports[name] === name)
  return new Option('--sigstoretype <TRANSPORT>', `of which images the scope speaks: ${names.join(', ')}`)
    .default('docker')
    .argParser((word) => {
      const transport = Object.hasOwn(transports, word) ? transports[word] : undefined
      if (transport === undefined) throw new InvalidArgumentError(`Write one of ${names.join(', ')}.`)
      return transport
    })
}

function deleteCommand(session: Session): Command {
  return resultCommand('delete', {
    summary: 'remove what is required of images of a scope, so that what is required above it counts',
    examples: ['forerun trust delete registry.example.com/acme'],
  })
    .argument('<SCOPE>', 'a scope of policy.json')
    .addOption(transportOption())
    .action((scope: string, { sigstoretype }: { sigstoretype: string }) =>
      perform(
        session,
        async (context) => {
          const { deleteTrust } = await import('../../operations/access/trust.ts')
          return deleteTrust({ scope, transport: sigstoretype }, context)
        },
        describe,
      ),
    )
}

function defaultCommand(session: Session): Command {
  return resultCommand('default', {
    summary: 'say what becomes of images of which nothing else is said',
    examples: ['forerun trust default reject'],
  })
    .argument('<POLICY>', 'accept or reject', parsePolicyWord)
    .action((policy: 'accept' | 'reject') =>
      perform(
        session,
        async (context) => {
          const { setDefaultTrust } = await import('../../operations/access/trust.ts')
          return setDefaultTrust(policy, context)
        },
        describe,
      ),
    )
}

function parsePolicyWord(word: string): 'accept' | 'reject' {
  if (word === 'accept' || word === 'reject') return word
  throw new InvalidArgumentError('Write accept or reject.')
}

function describe({ written }: TrustChange): string {
  return written.map((path) => `Written: ${path}`).join('\n')
}
