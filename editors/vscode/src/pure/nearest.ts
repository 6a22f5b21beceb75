// Which box is next in a direction.

export type Direction = "left" | "right" | "up" | "down";

export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/// Returns the index of the box that an arrow key goes to: the nearest on that side, where what is beside the way counts more.
export function nearest(boxes: readonly Box[], from: number, direction: Direction): number | undefined {
  const start = boxes[from];
  if (start === undefined) {
    return undefined;
  }
  const middle = ({ x, y, width, height }: Box): { x: number; y: number } => ({ x: x + width / 2, y: y + height / 2 });
  const { x, y } = middle(start);
  const distance = (box: Box): number => {
    const there = middle(box);
    const [along, across] = direction === "left" || direction === "right" ? [there.x - x, there.y - y] : [there.y - y, there.x - x];
    const ahead = direction === "left" || direction === "up" ? -along : along;
    return ahead > 1 ? ahead + 2 * Math.abs(across) : Infinity;
  };
  const distances = boxes.map((box, index) => (index === from ? Infinity : distance(box)));
  const best = Math.min(...distances);
  return best === Infinity ? undefined : distances.indexOf(best);
}
