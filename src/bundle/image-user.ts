import { ForerunError } from '../errors.ts'

export interface ContainerUser {
  readonly uid: number
  readonly gid: number
  /** Ascending; empty when there are none. */
  readonly additionalGids: number[]
}

/**
 * Looks up `user`, `uid`, `user:group` and the like in the image's own files (OCI image specification, "Conversion to
 * OCI Runtime Configuration", `Config.User`). Without a group it is that of the user, with the supplementary groups
 * that list the user; a group that is given stands alone. An empty user is root. A number needs no entry.
 *
 * @param files texts of the image's `/etc/passwd` and `/etc/group`; undefined when the image has none.
 * @throws ForerunError `configuration` for a name that the image does not have.
 */
export function lookUpUser(
  user: string,
  files: { passwd: string | undefined; group: string | undefined },
): ContainerUser {
  const [userPart = '', groupPart] = splitOnce(user)
  const wanted = userPart === '' ? '0' : userPart
  const groups = readGroups(files.group ?? '')
  const account = find(readAccounts(files.passwd ?? ''), wanted)
  const uid = account?.id ?? numericId(wanted)
  if (uid === undefined) throw unknown({ what: 'user', name: wanted, file: '/etc/passwd' })
  if (groupPart !== undefined && groupPart !== '') {
    const gid = find(groups, groupPart)?.id ?? numericId(groupPart)
    if (gid === undefined) throw unknown({ what: 'group', name: groupPart, file: '/etc/group' })
    return { uid, gid, additionalGids: [] }
  }
  if (account === undefined) return { uid, gid: 0, additionalGids: [] }
  const supplementary = groups.filter((group) => group.members.includes(account.name)).map((group) => group.id)
  return { uid, gid: account.gid, additionalGids: [...new Set(supplementary)].sort((a, b) => a - b) }
}

function splitOnce(user: string): [string, string?] {
  const colon = user.indexOf(':')
  return colon < 0 ? [user] : [user.slice(0, colon), user.slice(colon + 1)]
}

/** passwd(5): name:password:uid:gid:… Lines that are none are passed over, as the C library does. */
function readAccounts(passwd: string): { name: string; id: number; gid: number }[] {
  return passwd.split('\n').flatMap((line) => {
    const [name, , uid, gid] = line.split(':')
    const ids = [numericId(uid), numericId(gid)]
    return name && ids[0] !== undefined && ids[1] !== undefined ? [{ name, id: ids[0], gid: ids[1] }] : []
  })
}

/** group(5): name:password:gid:members */
function readGroups(group: string): { name: string; id: number; members: string[] }[] {
  return group.split('\n').flatMap((line) => {
    const [name, , gid, members = ''] = line.split(':')
    const id = numericId(gid)
    return name && id !== undefined ? [{ name, id, members: members.trim().split(',') }] : []
  })
}

/** A name comes before a number, so that a user named 1000 is found by that name. */
function find<Entry extends { name: string; id: number }>(
  entries: readonly Entry[],
  wanted: string,
): Entry | undefined {
  return entries.find(({ name }) => name === wanted) ?? entries.find(({ id }) => id === numericId(wanted))
}

/** Ids that the kernel takes; 4294967295 stands for none. */
function numericId(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,10}$/.test(text)) return undefined
  const id = Number(text)
  return id < 2 ** 32 - 1 ? id : undefined
}

function unknown({ what, name, file }: { what: string; name: string; file: string }): ForerunError {
  return new ForerunError('configuration', `The image's ${what} '${name}' is not in its ${file}`, {
    hint: `Have the image built anew with this ${what}, or with a number instead of the name.`,
  })
}
