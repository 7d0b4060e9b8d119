type Json = Record<string, unknown>

/**
 * A runtime configuration in today's spelling: what was written for the specification's versions before 1.0, and read
 * by the runtimes of that time, says the same in 1.2. The input is not changed. What is no configuration at all comes
 * back as it is, for the schema to refuse.
 */
export function modernSpelling(configuration: unknown): unknown {
  const modern = dropNulls(configuration)
  if (!isObject(modern)) return modern
  delete modern.platform
  // Runtimes of 2016 did not look at it, and images of that year have none.
  if (modern.ociVersion === undefined || modern.ociVersion === '') modern.ociVersion = '1.0.0'
  const linux = isObject(modern.linux) ? modern.linux : {}
  if (isObject(modern.process)) modern.process = modernProcess(modern.process, linux)
  if (isObject(modern.linux)) modern.linux = modernLinux(linux)
  if (Array.isArray(modern.mounts)) modern.mounts = modern.mounts.map(modernMount)
  return modern
}

/** A copy without the members that are null: to the runtimes, written in Go, null and absent are the same. */
export function dropNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(dropNulls)
  if (!isObject(value)) return value
  const members = Object.entries(value).filter(([, member]) => member !== null)
  return Object.fromEntries(members.map(([key, member]) => [key, dropNulls(member)]))
}

function modernProcess(process: Json, linux: Json): Json {
  const resources = isObject(linux.resources) ? linux.resources : {}
  // Moved here from linux in 0.5 and 1.0.0-rc5.
  const moved: [string, unknown][] = [
    ['capabilities', linux.capabilities],
    ['rlimits', linux.rlimits],
    ['apparmorProfile', linux.apparmorProfile],
    ['selinuxLabel', linux.selinuxProcessLabel],
    ['oomScoreAdj', resources.oomScoreAdj],
  ]
  const modern = { ...Object.fromEntries(moved.filter(([, value]) => value !== undefined)), ...process }
  return Array.isArray(modern.capabilities) ? { ...modern, capabilities: allSets(modern.capabilities) } : modern
}

/** One list meant all sets to the runtimes of that time, ambient ones included. */
function allSets(list: unknown[]): Json {
  return { bounding: list, effective: list, inheritable: list, permitted: list, ambient: list }
}

function modernLinux(linux: Json): Json {
  const { capabilities: _1, rlimits: _2, apparmorProfile: _3, selinuxProcessLabel: _4, ...modern } = linux
  if (isObject(modern.resources)) modern.resources = modernResources(modern.resources)
  if (isObject(modern.seccomp)) {
    const seccomp = modernSeccomp(modern.seccomp)
    if (seccomp === undefined) delete modern.seccomp
    else modern.seccomp = seccomp
  }
  return modern
}

function modernResources(resources: Json): Json {
  const { oomScoreAdj: _, disableOOMKiller, ...modern } = resources
  if (disableOOMKiller !== undefined) {
    modern.memory = { disableOOMKiller, ...(isObject(modern.memory) ? modern.memory : {}) }
  }
  if (isObject(modern.blockIO)) {
    // blkioWeight and the like, before 1.0.0-rc5.
    modern.blockIO = Object.fromEntries(
      Object.entries(modern.blockIO).map(([key, value]) => [
        key.replace(/^blkio([A-Z])/, (_match, letter: string) => letter.toLowerCase()),
        value,
      ]),
    )
  }
  return modern
}

/** Before 1.0.0-rc4 a rule named one call; without a default action and rules it meant no filter. */
function modernSeccomp(seccomp: Json): Json | undefined {
  const { syscalls } = seccomp
  const rules = Array.isArray(syscalls) ? syscalls : []
  if (rules.length === 0 && (seccomp.defaultAction ?? '') === '') return undefined
  return {
    ...seccomp,
    ...(syscalls === undefined ? {} : { syscalls: Array.isArray(syscalls) ? rules.map(oneName) : syscalls }),
  }
}

function oneName(rule: unknown): unknown {
  if (!isObject(rule) || rule.names !== undefined || typeof rule.name !== 'string') return rule
  const { name, ...rest } = rule
  return { names: [name], ...rest }
}

/** "It MAY be a relative path, in which case it MUST be interpreted as relative to /". */
function modernMount(mount: unknown): unknown {
  if (!isObject(mount) || typeof mount.destination !== 'string') return mount
  const { destination } = mount
  return destination === '' || destination.startsWith('/') ? mount : { ...mount, destination: `/${destination}` }
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
