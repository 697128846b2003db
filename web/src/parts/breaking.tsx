// Text with metric names and paths, which may break behind a part of them and not within a word.

/** Cut behind each `_` and `/` that stands within a word. */
export function partsOf(text: string): string[] {
  return text.split(/(?<=[A-Za-z0-9]_|[A-Za-z0-9]\/)(?=[A-Za-z0-9])/)
}

export function Breaking({ text }: { text: string }) {
  return (
    <>
      {partsOf(text).map((part, i) => (
        <>
          {i > 0 && <wbr />}
          {part}
        </>
      ))}
    </>
  )
}
