//! Prints the lock order as the table of ARCHITECTURE.md (`make check` compares the two).

fn main() {
    println!("| rank | class | protects |\n|---|---|---|");
    for (rank, (name, protects)) in linux_object::sync::class::ALL.iter().enumerate() {
        println!("| {rank} | `{name}` | {} |", protects.trim());
    }
}
