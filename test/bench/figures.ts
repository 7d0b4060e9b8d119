/** The figures of a bench, each with its goal: at most so much. Ratios are ours over theirs, in the same run. */
export const goals = {
  install_gzip_vs_best_peer: 0.4,
  install_zstd_vs_best_peer: 0.45,
  install_gzip_vs_raw_tar: 1.5,
  checkout_vs_cp_al: 1.0,
  update_bytes_vs_changed_layer: 1.05,
  update_seconds_vs_install: 0.15,
  disk_ten_versions_vs_unique: 1.1,
  peak_mb: 200,
  list_vs_podman_ps: 1.0,
  version_vs_empty_node: 1.3,
} as const

export type FigureName = keyof typeof goals
export type Figures = Partial<Record<FigureName, number>>

export function isFigureName(word: string): word is FigureName {
  return word in goals
}

/** A line each: the figure, its goal, and whether it is met. */
export function figureTable(figures: Figures): string {
  const rows = Object.entries(figures).map(([name, value]) => {
    const goal = goals[name as FigureName]
    return [name, value.toFixed(2), `${goal}`, value <= goal ? 'met' : 'missed']
  })
  return [['figure', 'is', 'goal', ''], ...rows]
    .map(
      ([name = '', value = '', goal = '', met = '']) =>
        `${name.padEnd(32)}${value.padStart(8)}${goal.padStart(8)}  ${met}`,
    )
    .join('\n')
}
