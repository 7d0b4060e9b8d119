import * as v from 'valibot'
import { absent, dictionary, digestSchema, labelsSchema } from './descriptor.ts'
import type { Digest } from './digest.ts'
import { type HealthCheck, imageHealthCheck } from './health-check.ts'
import { parseJson } from './json.ts'

/** OCI image specification, "OCI Image Configuration", as far as forerun reads it. Absent lists are empty. */
export interface ImageConfiguration {
  readonly architecture: string
  readonly os: string
  readonly variant?: string
  /** RFC 3339. */
  readonly created?: string
  readonly author?: string
  readonly config: {
    readonly user: string
    readonly exposedPorts: readonly string[]
    readonly env: readonly string[]
    readonly entrypoint: readonly string[]
    readonly cmd: readonly string[]
    readonly volumes: readonly string[]
    readonly workingDir: string
    readonly labels: Readonly<Record<string, string>>
    readonly stopSignal?: string
    readonly healthCheck?: HealthCheck
  }
  /** Uncompressed layers, base first; as many as the manifest has layers. */
  readonly diffIds: readonly Digest[]
}

/**
 * Reads an image's configuration. What is absent or null, as images made by many tools have it, becomes empty; what is
 * there must have the right shape. That `diffIds` are as many as the manifest's layers is for the caller to check.
 *
 * @throws ForerunError `manifest` when the configuration breaks its specification.
 */
export function parseImageConfiguration(bytes: Uint8Array): ImageConfiguration {
  const document = parseJson(bytes, configurationSchema, { document: "the image's configuration" })
  const { variant, created, author, config } = document
  const healthCheck = imageHealthCheck(config?.Healthcheck)
  return {
    architecture: document.architecture ?? '',
    os: document.os ?? '',
    ...(variant !== undefined && variant !== '' && { variant }),
    ...(created !== undefined && { created }),
    ...(author !== undefined && { author }),
    config: {
      user: config?.User ?? '',
      exposedPorts: Object.keys(config?.ExposedPorts ?? {}),
      env: config?.Env ?? [],
      entrypoint: config?.Entrypoint ?? [],
      cmd: config?.Cmd ?? [],
      volumes: Object.keys(config?.Volumes ?? {}),
      workingDir: config?.WorkingDir ?? '',
      labels: config?.Labels ?? {},
      ...(config?.StopSignal !== undefined && config.StopSignal !== '' && { stopSignal: config.StopSignal }),
      ...(healthCheck !== undefined && { healthCheck }),
    },
    diffIds: document.rootfs.diff_ids ?? [],
  }
}

const strings = absent(v.array(v.string()))
/** A set, which Go's JSON writes as an object of empty objects. */
const names = absent(dictionary(v.unknown()))

const configurationSchema = v.object({
  architecture: absent(v.string()),
  os: absent(v.string()),
  variant: absent(v.string()),
  created: absent(v.string()),
  author: absent(v.string()),
  config: absent(
    v.object({
      User: absent(v.string()),
      ExposedPorts: names,
      Env: strings,
      Entrypoint: strings,
      Cmd: strings,
      Volumes: names,
      WorkingDir: absent(v.string()),
      Labels: absent(labelsSchema),
      StopSignal: absent(v.string()),
      Healthcheck: absent(
        v.object({
          Test: strings,
          Interval: absent(v.number()),
          Timeout: absent(v.number()),
          Retries: absent(v.number()),
          StartPeriod: absent(v.number()),
        }),
      ),
    }),
  ),
  rootfs: v.object({
    type: v.literal('layers', 'not layers'),
    diff_ids: absent(v.array(digestSchema)),
  }),
})
