import * as v from 'valibot'
import { ForerunError } from '../errors.ts'
import { type HealthCheck, shellCommand } from '../image/health-check.ts'
import { dropNulls } from './older-spellings.ts'
import { describeIssue } from './schema-issue.ts'
import { dictionary, object } from './schema-types.ts'
import { parseTemplate, type Template, type Values } from './template.ts'
import { readJsonFile } from './template-json.ts'

/** `/exports/manifest.json`; an image without one has the defaults. Host paths are as the file spells them. */
export interface ExportsManifest {
  readonly defaultValues: Values
  /** Host paths, before renaming, of files whose content is a template. */
  readonly installedFilesTemplate: readonly string[]
  /** Host path to new host path. */
  readonly renameFiles: ReadonlyMap<string, Template>
  /** Only host files: no unit, no tmpfiles, no root file system. */
  readonly noContainerService: boolean
  readonly useLinks: boolean
  /** Whether an update keeps what the container wrote to a root that is writable. */
  readonly keepRootChanges: boolean
  /** Variables whose values are secret. */
  readonly secretValues: readonly string[]
  /** In place of the one that the image's configuration has. */
  readonly healthCheck: HealthCheck | undefined
}

export const exportsManifestFile = '/exports/manifest.json'

/** @throws ForerunError `exports` naming the key, or `template` for a bad `$` in a new name. */
export function parseExportsManifest(text: string): ExportsManifest {
  const json = dropNulls(readJsonFile(text, exportsManifestFile, { code: 'exports' }))
  const result = v.safeParse(schema, json)
  if (!result.success) {
    throw new ForerunError(
      'exports',
      `The file '${exportsManifestFile}' has a fault: ${describeIssue(result.issues[0])}`,
      {
        hint: 'Mend the file in the image and build the image anew.',
      },
    )
  }
  const {
    defaultValues,
    installedFilesTemplate,
    renameFiles,
    noContainerService,
    useLinks,
    keepRootChanges,
    secretValues,
    healthCheck,
  } = result.output
  return {
    defaultValues: new Map(Object.entries(defaultValues).map(([name, value]) => [name, `${value}`])),
    installedFilesTemplate,
    renameFiles: new Map(
      Object.entries(renameFiles).map(([from, to]) => [from, parseTemplate(to, exportsManifestFile)]),
    ),
    noContainerService,
    useLinks,
    keepRootChanges,
    secretValues,
    healthCheck,
  }
}

/** `30`, `"30s"`, `"1m30s"`, `"500ms"`: seconds, or as engines write a time. Gives milliseconds. */
const time = v.pipe(
  v.custom<number | string>((value) => readTime(value) !== undefined, 'a time such as "30s" or "1m30s"'),
  v.transform((value) => readTime(value) ?? 0),
)

function readTime(value: unknown): number | undefined {
  if (typeof value === 'number') return value >= 0 && value <= 86_400 ? value * 1000 : undefined
  const text = typeof value === 'string' ? value : ''
  const parts = /^(?=\d)(?:(\d{1,3})h)?(?:(\d{1,5})m(?!s))?(?:(\d{1,6})s)?(?:(\d{1,9})ms)?$/.exec(text)
  if (parts === null) return undefined
  const [, hours = 0, minutes = 0, seconds = 0, rest = 0] = parts
  return Number(hours) * 3_600_000 + Number(minutes) * 60_000 + Number(seconds) * 1000 + Number(rest)
}

const healthCheckSchema = v.pipe(
  object({
    // One text is for the shell of the image.
    command: v.union([
      v.pipe(v.array(v.string()), v.minLength(1, 'a command')),
      v.pipe(v.string(), v.nonEmpty('a command'), v.transform(shellCommand)),
    ]),
    interval: v.optional(time, 30),
    timeout: v.optional(time, 30),
    retries: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(1000)), 3),
    startPeriod: v.optional(time, 0),
  }),
  v.transform(
    ({ command, interval, timeout, retries, startPeriod }): HealthCheck => ({
      command,
      interval,
      timeout: Math.max(1, timeout),
      retries,
      startPeriod,
    }),
  ),
)

const schema = object({
  version: v.optional(v.pipe(v.string(), v.regex(/^1(\.|$)/, 'version "1.0" of the format'))),
  // Numbers too, as the old tool took them: "PORT": 2379.
  defaultValues: v.optional(dictionary(v.string(), v.union([v.string(), v.number(), v.bigint()])), {}),
  installedFilesTemplate: v.optional(v.array(v.string()), []),
  renameFiles: v.optional(dictionary(v.string(), v.string()), {}),
  noContainerService: v.optional(v.boolean(), false),
  useLinks: v.optional(v.boolean(), true),
  keepRootChanges: v.optional(v.boolean(), false),
  secretValues: v.optional(v.array(v.string()), []),
  healthCheck: v.optional(healthCheckSchema),
})
