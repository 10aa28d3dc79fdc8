"""The examples of TimerJobs and AI Schedule as they are printed, and when they are due after midnight of 2026-03-01."""

from typing import Any, Final

Times = tuple[str, ...]
SCRIPTS: Final = "/" + "opt/scripts"

TIMER_JOBS: Final[list[tuple[dict[str, Any], Times]]] = [
    (
        {
            "name": "健康检查",
            "desc": "检查服务健康状态",
            "cron_expr": "0 */2 * * * *",
            "mode": "http",
            "command": "【url】https://api.example.com/health\n【mode】GET",
        },
        ("01 00:02:00", "01 00:04:00", "01 00:06:00"),
    ),
    (
        {
            "name": "数据同步",
            "desc": "同步用户数据",
            "cron_expr": "0 0 2 * * *",
            "mode": "http",
            "command": "【url】https://api.example.com/sync\n【mode】POST\n【headers】Content-Type:application/json\n"
            '【data】{"action":"sync","timestamp":"2024-01-01"}',
        },
        ("01 02:00:00", "02 02:00:00", "03 02:00:00"),
    ),
    (
        {
            "name": "代理请求",
            "desc": "通过代理访问API",
            "cron_expr": "0 */5 * * * *",
            "mode": "http",
            "command": "【url】https://api.example.com/data\n【mode】GET\n【proxy】http://proxy.example.com:8080",
        },
        ("01 00:05:00", "01 00:10:00", "01 00:15:00"),
    ),
    (
        {
            "name": "会话请求",
            "desc": "保持会话的API调用",
            "cron_expr": "0 0 */1 * * *",
            "mode": "http",
            "command": "【url】https://api.example.com/user/profile\n【mode】GET\n【cookies】sessionid=abc123; userid=456",
        },
        ("01 01:00:00", "01 02:00:00", "01 03:00:00"),
    ),
    (
        {
            "name": "磁盘清理",
            "desc": "清理临时文件",
            "cron_expr": "0 0 4 * * *",
            "mode": "command",
            "command": "find /tmp -name '*.tmp' -mtime +7 -delete",
        },
        ("01 04:00:00", "02 04:00:00", "03 04:00:00"),
    ),
    (
        {
            "name": "备份脚本",
            "desc": "执行数据库备份脚本",
            "cron_expr": "0 0 2 * * *",
            "mode": "command",
            "command": f"【command】./backup.sh\n【workdir】{SCRIPTS}",
        },
        ("01 02:00:00", "02 02:00:00", "03 02:00:00"),
    ),
    (
        {
            "name": "环境变量命令",
            "desc": "使用特定环境变量执行命令",
            "cron_expr": "0 0 6 * * *",
            "mode": "command",
            "command": "【command】echo $CUSTOM_VAR\n【env】CUSTOM_VAR=test_value|||DEBUG=true",
        },
        ("01 06:00:00", "02 06:00:00", "03 06:00:00"),
    ),
    (
        {
            "name": "超时命令",
            "desc": "设置超时时间的命令",
            "cron_expr": "0 */10 * * * *",
            "mode": "command",
            "command": "【command】long-running-script.sh\n【timeout】60",
        },
        ("01 00:10:00", "01 00:20:00", "01 00:30:00"),
    ),
    (
        {
            "name": "Windows清理",
            "desc": "清理Windows临时文件",
            "cron_expr": "0 0 5 * * *",
            "mode": "command",
            "command": "del /q /f %TEMP%\\*.tmp",
        },
        ("01 05:00:00", "02 05:00:00", "03 05:00:00"),
    ),
    (
        {
            "name": "时间显示",
            "desc": "显示当前时间",
            "cron_expr": "0 */5 * * * *",
            "mode": "func",
            "command": "【name】Time\n【arg】2006-01-02 15:04:05",
        },
        ("01 00:05:00", "01 00:10:00", "01 00:15:00"),
    ),
    (
        {
            "name": "数学计算",
            "desc": "执行数学运算",
            "cron_expr": "0 */30 * * * *",
            "mode": "func",
            "command": "【name】Math\n【arg】+,100,50",
        },
        ("01 00:30:00", "01 01:00:00", "01 01:30:00"),
    ),
    (
        {
            "name": "文件检查",
            "desc": "检查文件状态",
            "cron_expr": "0 0 */2 * * *",
            "mode": "func",
            "command": "【name】File\n【arg】read,/var/log/app.log",
        },
        ("01 02:00:00", "01 04:00:00", "01 06:00:00"),
    ),
    (
        {
            "name": "数据统计",
            "desc": "统计用户数量",
            "cron_expr": "0 0 1 * * *",
            "mode": "func",
            "command": "【name】Database\n【arg】query,SELECT COUNT(*) FROM users",
        },
        ("01 01:00:00", "02 01:00:00", "03 01:00:00"),
    ),
    (
        {
            "name": "Dayin测试",
            "desc": "测试Dayin函数",
            "cron_expr": "0 */15 * * * *",
            "mode": "func",
            "command": "【name】Dayin\n【arg】1,hello,true",
        },
        ("01 00:15:00", "01 00:30:00", "01 00:45:00"),
    ),
]

AGENT_JOBS: Final[list[tuple[dict[str, Any], Times]]] = [
    (
        {
            "name": "数据备份任务",
            "description": "每日数据备份",
            "type": "script",
            "cron_expression": "0 0 2 * * *",
            "agent_config": {"script": {"command": "bash", "args": ["/scripts/backup.sh"]}},
            "environment": {"BACKUP_PATH": "/data/backup"},
            "resource_limits": {"cpu": "500m", "memory": "256Mi", "timeout": 3600},
        },
        ("01 02:00:00", "02 02:00:00", "03 02:00:00"),
    ),
    (
        {
            "name": "健康检查任务",
            "description": "定期检查服务健康状态",
            "type": "api",
            "cron_expression": "0 */5 * * * *",
            "agent_config": {
                "api": {
                    "url": "https://api.example.com/health",
                    "method": "GET",
                    "headers": {"Authorization": "Bearer token"},
                }
            },
        },
        ("01 00:05:00", "01 00:10:00", "01 00:15:00"),
    ),
]
INCOMPLETE: Final = {"name": "测试任务", "type": "script", "cron_expression": "0 */1 * * * *"}

COMMON: Final[dict[str, Times]] = {
    "* * * * * *": ("01 00:00:01", "01 00:00:02", "01 00:00:03"),
    "0 * * * * *": ("01 00:01:00", "01 00:02:00", "01 00:03:00"),
    "0 0 * * * *": ("01 01:00:00", "01 02:00:00", "01 03:00:00"),
    "0 0 0 * * *": ("02 00:00:00", "03 00:00:00", "04 00:00:00"),
    "0 0 2 * * *": ("01 02:00:00", "02 02:00:00", "03 02:00:00"),
    "0 30 9 * * *": ("01 09:30:00", "02 09:30:00", "03 09:30:00"),
    "0 0 0 * * 1": ("02 00:00:00", "09 00:00:00", "16 00:00:00"),
    "0 0 0 1 * *": ("01 00:00:00", "01 00:00:00", "01 00:00:00"),
    "0 2 * * *": ("01 02:00:00", "02 02:00:00", "03 02:00:00"),
    "*/5 * * * *": ("01 00:05:00", "01 00:10:00", "01 00:15:00"),
}
"""The expressions that TimerJobs explains; the first of the month is that of April, May and June."""
