import type { Random } from '../random.ts'
import { broken, type Container, containers, kinds, type Version } from './catalogue.ts'
import type { Effect } from './model.ts'

/** A command of forerun that a stress run tries. */
export interface StressCommand {
  /** For the figures. */
  readonly label: string
  readonly words: readonly string[]
  readonly container?: Container
  /** What it does to the container when it succeeds. */
  readonly effect?: Effect
  /** Sent after some milliseconds. */
  readonly signal: { readonly name: 'SIGKILL' | 'SIGINT' | 'SIGTERM'; readonly after: number } | undefined
}

/** @param references of images, by `plain:v1`. */
export function chooseCommand(random: Random, references: ReadonlyMap<string, string>): StressCommand {
  const [make] = pickWeighted(random)
  const command = make({ random, container: random.pick(containers), references })
  const timeout = random.chance(0.1) ? ['--lock-timeout', '0.1'] : []
  const signal = random.chance(0.12)
    ? { name: random.pick(['SIGKILL', 'SIGKILL', 'SIGINT', 'SIGTERM'] as const), after: random.below(5_000) }
    : undefined
  return { ...command, words: [...command.words, ...(command.label === 'run' ? [] : timeout)], signal }
}

interface Choice {
  readonly random: Random
  readonly container: Container
  readonly references: ReadonlyMap<string, string>
}

type Maker = (choice: Choice) => Omit<StressCommand, 'signal'>

function pickWeighted(random: Random): readonly [Maker, number] {
  let left = random.below(makers.reduce((sum, [, weight]) => sum + weight, 0))
  for (const each of makers) {
    left -= each[1]
    if (left < 0) return each
  }
  throw new Error('weights that do not add up')
}

const imageOf = ({ container }: Choice, version: Version): string => `${kinds[container]}:${version}`
const reference = ({ references }: Choice, image: string): string => references.get(image) ?? ''
const goodVersion = ({ random }: Choice): Version => random.pick(['v1', 'v2'] as const)
const anyImage = ({ random, references }: Choice): string => random.pick([...references.values()])
const directory = ({ random }: Choice): string => `/mnt/m${random.below(3)}`
const wordOf = ({ random }: Choice): string => `w${random.below(1000)}`

function updating(
  label: string,
  choice: Choice,
  options: { image?: string; word?: string; noStart?: boolean; atBoot?: boolean },
): Omit<StressCommand, 'signal'> {
  const { image, word, noStart = false, atBoot = false } = options
  const { container } = choice
  const words = [
    ...['update', '--debug', '--json', '--settle', '0.3'],
    ...(image === undefined ? [] : ['--rebase', reference(choice, image)]),
    ...(word === undefined ? [] : ['--set', `WORD=${word}`]),
    ...(noStart ? ['--no-start'] : []),
    ...(atBoot ? ['--at-boot'] : []),
    container,
  ]
  return { label, words, container, effect: { verb: 'update', image, word, noStart, atBoot } }
}

const makers: readonly (readonly [Maker, number])[] = [
  [
    (choice) => {
      const { random, container } = choice
      const image = imageOf(choice, random.chance(0.1) ? broken : goodVersion(choice))
      const word = random.chance(0.5) ? wordOf(choice) : undefined
      const now = random.chance(0.7)
      const words = [
        ...['install', '--debug', '--json', '--name', container],
        ...(word === undefined ? [] : ['--set', `WORD=${word}`]),
        ...(now ? ['--now'] : []),
        reference(choice, image),
      ]
      return {
        label: now ? 'install --now' : 'install',
        words,
        container,
        effect: { verb: 'install', image, word, now },
      }
    },
    26,
  ],
  [
    ({ container }) => ({
      label: 'uninstall',
      words: ['uninstall', '--debug', '--json', container],
      container,
      effect: { verb: 'uninstall' },
    }),
    9,
  ],
  [(choice) => updating('update --rebase', choice, { image: imageOf(choice, goodVersion(choice)) }), 14],
  [(choice) => updating('update --rebase BROKEN', choice, { image: imageOf(choice, broken) }), 4],
  [(choice) => updating('update --set', choice, { word: wordOf(choice) }), 8],
  [(choice) => updating('update', choice, {}), 6],
  [
    (choice) => updating('update --no-start', choice, { image: imageOf(choice, goodVersion(choice)), noStart: true }),
    3,
  ],
  [(choice) => updating('update --at-boot', choice, { word: wordOf(choice), atBoot: true }), 4],
  [() => ({ label: 'update --all', words: ['update', '--debug', '--json', '--all'] }), 2],
  [
    ({ container }) => ({
      label: 'rollback',
      words: ['rollback', '--debug', '--json', '--settle', '0.3', container],
      container,
      effect: { verb: 'rollback' },
    }),
    9,
  ],
  [() => ({ label: 'containers list', words: ['containers', 'list', '--all', '--json'] }), 16],
  [({ container }) => ({ label: 'containers info', words: ['containers', 'info', '--json', container] }), 6],
  [() => ({ label: 'images list', words: ['images', 'list', '--json'] }), 3],
  [() => ({ label: 'images prune', words: ['images', 'prune', '--debug', '--json'] }), 3],
  [
    (choice) => ({
      label: 'images delete',
      words: [
        ...['images', 'delete', '--debug', '--json'],
        ...(choice.random.chance(0.3) ? ['--force'] : []),
        anyImage(choice),
      ],
    }),
    3,
  ],
  [(choice) => ({ label: 'pull', words: ['pull', '--debug', '--json', anyImage(choice)] }), 4],
  [({ container }) => ({ label: 'run', words: ['run', container, 'cat', '/srv/common'] }), 5],
  [(choice) => ({ label: 'mount', words: ['mount', '--debug', '--json', anyImage(choice), directory(choice)] }), 2],
  [
    (choice) => ({
      label: 'mount NAME',
      words: ['mount', '--debug', '--json', choice.container, directory(choice)],
    }),
    1,
  ],
  [(choice) => ({ label: 'umount', words: ['umount', '--debug', '--json', directory(choice)] }), 4],
  [() => ({ label: 'recover', words: ['recover', '--debug', '--json'] }), 1],
  [() => ({ label: 'verify', words: ['verify', '--debug', '--json'] }), 1],
]
