//! An overlay in the simulator, where every lock is checked.

use crate::error::Errno::*;
use crate::fs::namei::RenameFlags;
use crate::fs::testing::{Calls, run};

const OPTIONS: &str = "lowerdir=/l,upperdir=/t/u,workdir=/t/w";

#[test]
fn changes_go_to_the_upper_tree() {
    run(|task| {
        for name in ["/l", "/l/d", "/t", "/o"] {
            task.mkdir(name).unwrap();
        }
        task.mount("t", "/t", "tmpfs", 0, "").unwrap();
        task.mkdir("/t/u").unwrap();
        task.mkdir("/t/w").unwrap();
        task.put("/l/a", "lower").unwrap();
        task.put("/l/d/x", "deep").unwrap();
        task.mount("o", "/o", "overlay", 0, OPTIONS).unwrap();
        assert_eq!(task.get("/o/a").unwrap(), b"lower");
        task.put("/o/a", "upper").unwrap();
        assert_eq!(task.get("/t/u/a").unwrap(), b"upper");
        assert_eq!(task.get("/l/a").unwrap(), b"lower");
        task.put("/o/d/y", "new").unwrap();
        assert_eq!(task.get("/t/u/d/y").unwrap(), b"new");
        task.rename("/o/d/x", "/o/x", RenameFlags::empty()).unwrap();
        assert_eq!(task.get("/o/x").unwrap(), b"deep");
        assert_eq!(task.walk("/o/d/x").err().unwrap(), ENOENT);
        let moved = task.rename("/o/d", "/o/e", RenameFlags::empty());
        assert_eq!(moved.err().unwrap(), EXDEV);
        assert_eq!(task.rmdir("/o/d").err().unwrap(), ENOTEMPTY);
        task.unlink("/o/d/y").unwrap();
        task.rmdir("/o/d").unwrap();
        task.mkdir("/o/d").unwrap();
        assert_eq!(task.walk("/o/d/x").err().unwrap(), ENOENT);
        task.link("/o/a", "/o/d/a").unwrap();
        task.put("/o/d/a", "linked").unwrap();
        assert_eq!(task.get("/o/a").unwrap(), b"linked");
        let whiteout = task.rename("/o/a", "/o/b", RenameFlags::WHITEOUT);
        assert_eq!(whiteout.err().unwrap(), EINVAL);
    });
}
