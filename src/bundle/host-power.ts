import { posix } from 'node:path'
import { tmpfilesPaths } from './tmpfiles.ts'
import { withoutVarRun } from './var-run.ts'

/** What is to be on the host, as far as it matters here. */
export interface HostPlace {
  /** Absolute. */
  readonly path: string
  readonly kind: 'file' | 'symlink' | 'directory'
  /** 0 to 0o7777; undefined for a symbolic link. */
  readonly mode?: number | undefined
  readonly uid: number
}

/**
 * Why a file on the host gives whoever wrote it power over the host, or over all of its users, beyond the container: in words
 * that follow the path and a colon. Empty for one that does not.
 *
 * What is known is where Linux systems look for programs to run, for who may do what, and for what to trust. A file that a
 * program of the host reads may still do harm; that cannot be known. File capabilities give nothing: host files are copied
 * without extended attributes.
 *
 * @param options.unit the container's own unit: drop-ins for that one change nothing else.
 */
export function hostPower(place: HostPlace, { unit }: { unit: string }): string[] {
  const { kind, mode = 0, uid } = place
  const path = merged(posix.resolve('/', place.path))
  const reasons: string[] = []
  if (kind === 'file' && mode & 0o4000) reasons.push(`set-uid: runs as ${userOf(uid)}, whoever starts it`)
  if (kind === 'file' && mode & 0o2000) reasons.push('set-gid: runs with the rights of its group, whoever starts it')
  const isShared = kind === 'directory' && (mode & 0o1000) !== 0
  if (mode & 0o002 && !isShared) reasons.push('every user may write to it')
  // A link may be one to a whole folder.
  const reason = (kind === 'symlink' ? reasonOfPath(`${path}/any`, unit) : undefined) ?? reasonOfPath(path, unit)
  return reason === undefined || kind === 'directory' ? reasons : [...reasons, reason]
}

/**
 * The same for lines of tmpfiles.d(5), which systemd follows as root: they write files, too, and change what others wrote.
 *
 * @returns a path and its reasons for each line that has any.
 */
export function tmpfilesPower(text: string, options: { unit: string }): { path: string; power: string[] }[] {
  return text.split('\n').flatMap((line) => {
    const [, type = ''] = /^\s*"?([a-zA-Z])/.exec(line) ?? []
    // Whatever a line does, and whatever stands for a specifier of this one machine: its path counts.
    const [path] = tmpfilesPaths(line.replace(/[a-zA-Z][-+!=~^$?]*/, 'f').replace(/%[^%tSCLTVh]/g, '_'))
    if (path === undefined || 'xX'.includes(type)) return []
    const mode = /\s[~:]*([0-7]{3,5})\s/.exec(`${line} `)?.[1]
    const kind = directoryTypes.includes(type) ? 'directory' : treeTypes.includes(type) ? 'symlink' : 'file'
    const place = { path, kind, uid: 0, mode: mode === undefined ? 0 : Number.parseInt(mode, 8) } as const
    const power = hostPower(place, options)
    return power.length === 0 ? [] : [{ path, power }]
  })
}

const directoryTypes = 'dDevqQ'

/** Types of lines that may bring, or change, all that is below a path. */
const treeTypes = 'LCRZATH'

function userOf(uid: number): string {
  return uid === 0 ? 'root' : `user ${uid}`
}

/** undefined for a path where nothing looks that matters. */
function reasonOfPath(path: string, unit: string): string | undefined {
  const [, dropIn] = /^(?:\/etc|\/run|\/usr\/lib|\/usr\/local\/lib)\/systemd\/system\/([^/]+)\.d\//.exec(path) ?? []
  if (dropIn !== undefined) return dropIn === unit ? undefined : `changes the unit ${dropIn}`
  return rules.find(([pattern]) => pattern.test(path))?.[1]
}

/** Hosts whose /lib is a link to /usr/lib read both as one. */
function merged(path: string): string {
  return withoutVarRun(path).replace(/^\/(bin|sbin|lib|lib32|lib64|libx32)\//, '/usr/$1/')
}

/** Patterns of paths, the first that matches decides. `/usr/lib` stands for `/lib`, too. */
const rules: readonly [pattern: RegExp, reason: string][] = [
  [/^\/etc\/ld\.so\.preload$/, 'is loaded into every program'],
  [/^\/etc\/ld\.so\.conf(?:$|\.d\/)/, 'says where programs find their libraries'],
  [/^\/(?:usr\/)?(?:local\/)?lib\S*\/security\/pam_[^/]+\.so$/, 'decides who may log in'],
  [
    /^\/usr\/(?:local\/)?lib(?:32|64|x32)?\/(?:[^/]+-linux-[^/]+\/)?[^/]+\.so(?:\.[\d.]+)?$/,
    'is a library of programs',
  ],

  [/^\/etc\/sudoers(?:$|\.d\/)|^\/etc\/(?:sudo|doas|su)[^/]*\.conf$/, 'decides who may become root'],
  [/\/\.ssh\/(?:authorized_keys2?|rc|environment)$/, 'decides who may log in'],
  [
    /^\/etc\/ssh\/(?:sshd_config(?:$|\.d\/)|authorized_keys|sshrc$)|^\/usr\/lib\/ssh\/sshd_config/,
    'decides who may log in',
  ],
  [/^\/etc\/pam\.(?:conf$|d\/)|^\/usr\/(?:lib|share)\/pam\.d\/|^\/etc\/security\//, 'decides who may log in'],
  [
    /^\/etc\/(?:passwd|shadow|group|gshadow|subuid|subgid|nsswitch\.conf|login\.access|shells)-?$/,
    'says who the users are',
  ],
  [/^\/(?:etc|run|usr\/lib|usr\/local\/lib)\/(?:sysusers\.d|userdb)\//, 'makes users'],
  [/^\/(?:etc|run|usr\/(?:local\/)?share)\/polkit-1\//, 'decides who may do what'],
  [/^\/(?:etc|run|usr\/(?:local\/)?share)\/dbus-1\//, 'decides who may call which service'],
  [/^\/etc\/(?:selinux|apparmor|apparmor\.d)\//, 'decides what programs may do'],

  [/^\/etc\/(?:crontab$|anacrontab$|cron\.)|^\/var\/spool\/(?:cron|at|anacron)\//, 'is run by cron'],
  [/\/systemd\/(?:system|user)(?:-environment)?-generators\//, 'is run as root when the host boots'],
  [/\/systemd\/system-(?:shutdown|sleep)\//, 'is run as root when the host sleeps or stops'],
  [/\/systemd\/(?:system|user)-preset\//, 'decides which units start'],
  [
    /^\/(?:etc|run|usr\/lib|usr\/local\/lib)\/systemd\/(?:system|user)\/[^/]+\.(?:wants|requires|upholds)\//,
    'starts a unit',
  ],
  [/^\/(?:etc|run|usr\/lib|usr\/local\/lib)\/systemd\/(?:system|user)(?:\.control)?\//, 'is a unit of systemd'],
  [/^\/(?:etc|run|usr\/lib|usr\/local\/lib)\/systemd\/[^/]+\.conf(?:$|\.d\/)/, 'changes how systemd works'],
  [
    /^\/etc\/(?:init|init\.d|rc[0-6sS]?\.d|rc\.d)\/|^\/etc\/(?:rc\.local|inittab)$/,
    'is run as root when the host boots',
  ],
  [/^\/(?:etc|run|usr\/lib|usr\/local\/lib)\/tmpfiles\.d\//, 'makes and changes files as root at every boot'],

  [/^\/(?:etc|run|usr\/lib|usr\/local\/lib)\/udev\//, 'is run as root when devices come and go'],
  [
    /^\/(?:etc|run|usr\/lib|usr\/local\/lib)\/(?:modprobe|modules-load|depmod)\.d\/|^\/etc\/modules$/,
    'loads modules into the kernel',
  ],
  [/^\/usr\/lib\/modules\//, 'is a module of the kernel'],
  [/^\/usr\/lib\/firmware\//, 'is loaded into a device'],
  [/^\/(?:etc|run|usr\/lib|usr\/local\/lib)\/sysctl\.d\/|^\/etc\/sysctl\.conf$/, 'changes settings of the kernel'],
  [/^\/(?:etc|run|usr\/lib|usr\/local\/lib)\/binfmt\.d\//, 'says what runs programs'],
  [
    /^\/(?:boot|efi)\/|^\/etc\/(?:grub\.d|kernel|initramfs-tools|dracut\.conf\.d)\/|^\/etc\/(?:default\/grub|dracut\.conf)$/,
    'is a part of the boot',
  ],
  [/^\/usr\/(?:lib\/(?:dracut|kernel)|share\/initramfs-tools)\//, 'is a part of the boot'],
  [/^\/etc\/(?:fstab|crypttab|exports)$/, 'mounts or exports file systems'],

  [
    /^\/etc\/(?:profile$|profile\.d\/|environment$|environment\.d\/|bash\.bashrc$|bashrc$|zsh\/|zsh[^/]*$|csh\.)/,
    'is read by every login',
  ],
  [/^\/usr\/lib\/environment\.d\//, 'is read by every login'],
  [
    /^\/(?:root|home\/[^/]+|etc\/skel)\/\.(?:bash|profile|z(?:sh|profile|log)|[ck]sh|kshrc|login|pam_environment|config\/(?:systemd|environment|autostart))/,
    'is read when that user logs in',
  ],
  [/^\/etc\/update-motd\.d\//, 'is run as root at every login'],

  [
    /^\/etc\/(?:NetworkManager|networkd-dispatcher)\/.*(?:dispatcher|\.d\/)|^\/usr\/lib\/(?:NetworkManager|networkd-dispatcher)\//,
    'is run as root when the network changes',
  ],
  [/^\/etc\/network\/if-[a-z-]+\.d\/|^\/etc\/(?:dhcp|ppp)\//, 'is run as root when the network changes'],
  [/^\/etc\/(?:logrotate\.d\/|logrotate\.conf$)/, 'is run as root by logrotate'],
  [/^\/etc\/(?:xinetd\.d\/|inetd\.conf$|acpi\/)/, 'is run as root on an event'],
  [/^\/(?:etc|usr\/share)\/containers\/oci\/hooks\.d\//, 'is run as root beside every container'],

  [
    /^\/etc\/(?:apt|yum|yum\.repos\.d|dnf|zypp|dpkg)\/|^\/etc\/(?:yum|dnf)\.conf$|^\/etc\/pki\/rpm-gpg\/|^\/usr\/share\/keyrings\//,
    'decides which packages are trusted',
  ],
  [
    /^\/etc\/(?:pki\/ca-trust|ssl\/certs|ca-certificates|ca-certificates\.conf$)|^\/usr\/(?:local\/)?share\/(?:ca-certificates|pki\/ca-trust-source)\//,
    'decides which certificates are trusted',
  ],
  [
    /^\/etc\/containers\/(?:policy\.json$|registries\.|certs\.d\/)|^\/etc\/docker\/certs\.d\/|^\/etc\/pki\/sigstore\//,
    'decides which images are trusted',
  ],
  [/^\/(?:etc|usr\/lib)\/forerun\//, 'changes the settings of forerun'],
]
