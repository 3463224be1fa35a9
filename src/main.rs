//! The program: arguments in, an exit status out.

/// Requests are received, written and answered by different threads; this allocator minds that
/// less than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    billhook::cli::main()
}
