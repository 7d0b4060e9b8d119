/**
 * How systemd reads the value of a setting, which decides how a text is to be written there (systemd.syntax(7)):
 *
 * - `command`: words in quotes, with C escapes; `%` begins a specifier and `$` a variable (systemd.service(5), "Command lines");
 * - `words`: the same without variables;
 * - `paths`: words in quotes, in which a backslash takes the next character as it is;
 * - `folders`: words whose quotes and backslashes versions of systemd read differently, with `:` between their parts;
 * - `units`: names of units;
 * - `escapes`: one text with C escapes, and no quotes;
 * - `text`: one text, in which only `%` means something;
 * - `number`: one text, in which `%` is a percentage.
 */
export type UnitPlace = 'command' | 'words' | 'paths' | 'folders' | 'units' | 'escapes' | 'text' | 'number'

/** By the key alone: no key is read differently in two sections. */
export function unitPlace(key: string): UnitPlace {
  if (/^Exec(?:Condition|Start|StartPre|StartPost|Reload|Stop|StopPre|StopPost)$/.test(key)) return 'command'
  if (/^(?:(?:Default|Startup)?Memory\w+|(?:Startup)?CPUQuota|TasksMax|ManagedOOM\w+)$/.test(key)) return 'number'
  return places.get(key) ?? 'text'
}

const keys: readonly (readonly [UnitPlace, string])[] = [
  ['words', 'Environment PassEnvironment UnsetEnvironment LogExtraFields'],
  [
    'paths',
    'RequiresMountsFor WantsMountsFor ReadWritePaths ReadOnlyPaths InaccessiblePaths ExecPaths NoExecPaths ' +
      'ReadWriteDirectories ReadOnlyDirectories InaccessibleDirectories DeviceAllow Documentation SupplementaryGroups',
  ],
  [
    'folders',
    'BindPaths BindReadOnlyPaths TemporaryFileSystem MountImages ExtensionImages ExtensionDirectories ' +
      'RuntimeDirectory StateDirectory CacheDirectory LogsDirectory ConfigurationDirectory',
  ],
  [
    'units',
    'After Before Requires Requisite Wants BindsTo PartOf Upholds Conflicts OnFailure OnSuccess JoinsNamespaceOf ' +
      'PropagatesReloadTo ReloadPropagatedFrom PropagatesStopTo StopPropagatedFrom Sockets Service Unit Slice ' +
      'WantedBy RequiredBy UpheldBy Alias Also',
  ],
  ['escapes', 'StandardInputText SetCredential'],
]

const places = new Map(keys.flatMap(([place, names]) => names.split(' ').map((name) => [name, place] as const)))
