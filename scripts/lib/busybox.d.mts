export function makeBusyboxRoot(root: string): void;
export function tarOf(root: string): Buffer;
