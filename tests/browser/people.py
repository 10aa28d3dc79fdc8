"""Who and what is in the scene: machines, checkouts, agents, what people want of them, and what those say."""

from typing import Final

CHECKOUTS: Final = (
    *(("atlas", f"/home/mei/{name}") for name in (
        "storefront", "storefront/packages/cart", "checkout-api", "payments", "search", "catalogue", "inventory", "ledger",
        "mailer", "docs", "design-system", "mobile-app", "ios-widgets", "android-app",
    )),
    *(("birch", f"/srv/agents/{name}") for name in (
        "billing", "reports", "etl", "warehouse", "forecasts", "fraud-rules", "data-contracts", "notebooks", "exports",
        "crawler", "translations", "image-service", "video-transcoder",
    )),
    *(("cedar", f"/var/checkouts/{name}") for name in (
        "platform", "terraform", "cluster", "gateway", "auth", "observability", "ci-images", "runbooks", "secrets-rotation",
        "edge-proxy", "feature-flags", "scheduler", "backups",
    )),
)  # fmt: skip
"""The machine and the directory of each of the forty."""
AGENTS: Final = (
    ("claude", "claude-sonnet-4-5"),
    ("codex", "gpt-5-codex"),
    ("claude", "claude-opus-4-1"),
    ("opencode", "qwen3-coder"),
)
WANTED: Final = (
    "Upgrade to Python 3.13 and fix what breaks",
    "把订单导出改成流式写入，避免内存溢出",  # noqa: RUF001 - marks of Chinese
    "Replace moment.js with date-fns",
    "Find out why the nightly import takes two hours",
    "为支付回调补充幂等性测试",
    "Add pagination to GET /invoices",
    "Remove the last callers of the legacy session API",
    "重构库存服务的缓存层",
    "Write a migration that splits addresses out of users",
    "Make the flaky checkout test deterministic",
    "Document the retry policy of outgoing webhooks",
    "修复中文文件名上传失败的问题",
    "Speed up the product search below 80 ms",
    "Port the shell scripts in ci/ to Python",
    "Raise branch coverage of the pricing module to 95 %",
    "清理不再使用的功能开关",
    "Bump all GitHub Actions to pinned hashes",
    "Rename `Customer.mail` to `email` everywhere",
    "升级 Kubernetes 清单到最新 API 版本",
    "Add dark mode to the settings page",
    "Investigate the memory leak in the transcoder",
    "Translate the onboarding mails into Spanish",
    "校对用户手册并统一术语",
    "Prepare the release notes for 4.2",
)
DOING: Final = (
    (12, "Reading the module and its tests"),
    (35, "3 of 8 call sites changed"),
    (58, "Running the test suite"),
    (71, "Two tests still fail"),
    (90, "Writing the summary"),
    (24, "正在分析现有实现"),
    (47, "Building a reproduction"),
    (66, "已修改 14 个文件，等待测试结果"),  # noqa: RUF001 - marks of Chinese
)
OUTPUT: Final = (
    "\x1b[36m●\x1b[0m I'll start with how the module is used today.",
    "\x1b[2m$ rg -n 'export_orders' --type py\x1b[0m",
    "src/orders/export.py:41:def export_orders(cursor, out):",
    "src/orders/jobs.py:88:    export_orders(cursor, buffer)",
    "\x1b[36m●\x1b[0m The whole result is held in memory before it is written. Streaming it in batches of 1,000.",
    "\x1b[33mwarning\x1b[0m: 2 callers rely on the return value",
    "\x1b[2m$ pytest -q tests/orders\x1b[0m",
    "\x1b[32m........................................\x1b[0m [ 62%]",
    "\x1b[32m....................\x1b[0m\x1b[31mF\x1b[0m\x1b[32m...\x1b[0m [100%]",
    "\x1b[31mFAILED\x1b[0m tests/orders/test_export.py::test_empty - AssertionError: assert b'' == b'id,total\\n'",
    "\x1b[36m●\x1b[0m An empty export has to keep its header line. Fixing that now.",
)
ERRORS: Final = (
    ("VerificationFailed", "`make test` exited with 1: 3 of 412 tests failed (tests/cart/test_discounts.py)"),
    ("Timeout", "the agent was stopped after 3600 s; its last output was 41 minutes old"),
    ("ExitCode", "npm ci exited with 137: out of memory"),
    ("AgentError", "API error 529 (overloaded) after 10 retries"),
    ("WorkerLost", "the lease ended without a word from its worker"),
    ("ExitCode", "git push exited with 1: remote rejected, the branch is protected"),
)
QUESTIONS: Final = (
    ("Two tables hold addresses. Which of them is the one to keep?", ("customer_address", "addresses", "keep both")),
    ("要不要同时删除旧版接口 /v1/orders？日志显示上周还有 12 次调用。", ("删除", "保留一个版本", "先通知调用方")),  # noqa: RUF001 - marks of Chinese
    ("The test needs a Stripe sandbox key, and none is in the environment. Where do I find one?", ()),
    ("This changes a public response field. Bump the API to v3, or keep the old name as an alias?", ("v3", "alias")),
)
