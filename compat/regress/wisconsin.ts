/**
 * So many rows, as COPY reads them, of the table that the scripts call onek and tenk1: that of the Wisconsin benchmark
 * (Bitton, DeWitt, Turbyfill 1983). Always the same ones.
 */
export function wisconsin(rows: number): string {
  const order = shuffled(rows)
  return order.map((unique1, unique2) => `${columns(unique1, unique2, rows).join('\t')}\n`).join('')
}

function columns(unique1: number, unique2: number, rows: number): readonly (number | string)[] {
  const remainders = [2, 4, 10, 20, 100, 1_000, 2_000, 5_000, rows].map((divisor) => unique1 % divisor)
  const odd = (unique1 % 100) * 2 + 1
  const word = ['AAAAxx', 'HHHHxx', 'OOOOxx', 'VVVVxx'][unique2 % 4]!
  return [unique1, unique2, ...remainders, odd - 1, odd, letters(unique1), letters(unique2), word]
}

/** A number in base 26, lowest digit first, padded as the benchmark pads. */
function letters(number: number): string {
  const digits = [0, 1, 2, 3].map((place) => Math.floor(number / 26 ** place) % 26)
  return `${String.fromCharCode(...digits.map((digit) => 65 + digit))}AA`
}

function shuffled(count: number): readonly number[] {
  const numbers = Array.from({ length: count }, (_, place) => place)
  let seed = 42
  for (let last = count - 1; last > 0; last--) {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
    const other = seed % (last + 1)
    ;[numbers[last], numbers[other]] = [numbers[other]!, numbers[last]!]
  }
  return numbers
}
