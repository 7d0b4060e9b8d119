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
