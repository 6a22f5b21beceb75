// What a person has selected in a tree of tests.

export interface Tree<T> {
  readonly parent: (item: T) => T | undefined;
  readonly children: (item: T) => readonly T[];
}

/// Returns what is to run: each selected item, unless one above it is selected too. An item below which something is excluded is replaced by what is
/// left below it.
export function selected<T>(included: readonly T[], excluded: readonly T[], tree: Tree<T>): T[] {
  const above = (item: T): T[] => {
    const parent = tree.parent(item);
    return parent === undefined ? [] : [parent, ...above(parent)];
  };
  const broken = new Set(excluded.flatMap(above));
  const left = (item: T): T[] => {
    if (excluded.includes(item)) {
      return [];
    }
    return broken.has(item) ? tree.children(item).flatMap(left) : [item];
  };
  const isCovered = (item: T): boolean => above(item).some((each) => included.includes(each) || excluded.includes(each));
  return [...new Set(included)].filter((item) => !isCovered(item)).flatMap(left);
}

/// Returns the items without children at or below some.
export function leaves<T>(items: readonly T[], tree: Tree<T>): T[] {
  return items.flatMap((item) => {
    const children = tree.children(item);
    return children.length === 0 ? [item] : leaves(children, tree);
  });
}
