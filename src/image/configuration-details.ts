import * as v from 'valibot'
import { absent, dictionary } from './descriptor.ts'
import { parseJson } from './json.ts'

/** What of an image's configuration people may want to see and forerun itself does not need. */
export interface ConfigurationDetails {
  /** Docker's health check, as it is written; times are in nanoseconds. */
  readonly healthCheck?: Readonly<Record<string, unknown>>
  /** What made each layer, base first; only where the history tells that of every layer. */
  readonly createdBy?: readonly string[]
}

/**
 * Reads the `history` of an image's configuration (OCI image specification, "OCI Image Configuration"), and `Healthcheck`,
 * which is Docker's.
 *
 * @param layers how many layers the image has.
 * @throws ForerunError `manifest`
 */
export function parseConfigurationDetails(bytes: Uint8Array, { layers }: { layers: number }): ConfigurationDetails {
  const { config, history } = parseJson(bytes, schema, { document: "the image's configuration" })
  const createdBy = (history ?? []).filter((step) => step.empty_layer !== true).map((step) => step.created_by ?? '')
  return {
    ...(config?.Healthcheck !== undefined && { healthCheck: config.Healthcheck }),
    ...(createdBy.length === layers && { createdBy }),
  }
}

/**
 * Whether a layer's history says that it holds nothing of `/exports`: that it was made by copying to a folder where systems
 * keep programs, libraries, configuration or data. That such a folder is no symbolic link into `/exports`, and that the
 * history does not lie, is taken for granted, as is not for other folders.
 *
 * @param createdBy `created_by` of the history, as Docker, BuildKit, Buildah and Kaniko write it.
 */
export function copiesElsewhere(createdBy: string): boolean {
  const step = createdBy.replace(/^\/bin\/sh -c #\(nop\) +/, '').replace(/ # buildkit$/, '')
  const destination = /^(?:COPY|ADD) (?:.* )?(\/[\w.+@/-]*) *$/.exec(step)?.[1]
  if (destination === undefined) return false
  const parts = destination.split('/').filter((part) => part !== '')
  return parts.length > 0 && !parts.includes('..') && !parts.includes('.') && ordinaryFolders.has(parts[0] ?? '')
}

/** Of the file system hierarchy standard. */
const ordinaryFolders = new Set(['bin', 'etc', 'lib', 'lib64', 'opt', 'sbin', 'srv', 'usr', 'var'])

const schema = v.object({
  config: absent(v.object({ Healthcheck: absent(dictionary(v.unknown())) })),
  history: absent(v.array(v.object({ created_by: absent(v.string()), empty_layer: absent(v.boolean()) }))),
})
