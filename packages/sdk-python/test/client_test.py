"""Run by client.test.ts against a server: `client_test.py URL TOKEN`. Fails with the first wrong answer."""

import sys
import unittest

from wellflow_api import WellFlowClient, WellFlowError

URL, TOKEN = sys.argv[1:3]
QUEUE = "data-validation"


class ClientTest(unittest.TestCase):
    def setUp(self) -> None:
        self.client = WellFlowClient(base_url=URL, token=TOKEN)

    def test_jobs(self) -> None:
        jobs = self.client.jobs
        before = jobs.get_queue(QUEUE)["waiting"]
        data = {"wellId": "NORTH-7", "validationType": "production_data"}
        job = jobs.add(QUEUE, {"name": "north-check", "data": data}, idempotency_key="north-7")
        again = jobs.add(QUEUE, {"name": "north-check", "data": data}, idempotency_key="north-7")
        self.assertEqual(job["jobId"], again["jobId"])
        self.assertEqual(jobs.get_queue(QUEUE)["waiting"], before + 1)
        self.assertEqual(jobs.get_status([job["jobId"]])[0]["status"], "waiting")
        self.assertIn(QUEUE, [queue["name"] for queue in jobs.get_queues()])
        listed = jobs.list(QUEUE, status="waiting", limit=50)
        self.assertIn(job["jobId"], str(listed))
        bulk = jobs.add_bulk([{"queue": QUEUE, "name": "south", "data": data}, {"queue": QUEUE}])
        self.assertEqual([len(bulk["jobIds"]), bulk["failed"]], [1, 1])
        jobs.remove(QUEUE, job["jobId"])
        with self.assertRaises(WellFlowError) as raised:
            jobs.remove(QUEUE, job["jobId"])
        error = raised.exception
        self.assertEqual((error.code, error.status), ("JOB_NOT_FOUND", 404))
        with self.assertRaises(ValueError):
            jobs.remove(QUEUE, "..")

    def test_figures(self) -> None:
        jobs = self.client.jobs
        self.assertTrue(jobs.get_metrics(timeframe="24h"))
        self.assertTrue(jobs.get_stats())
        self.assertTrue(jobs.get_health())

    def test_schedules_and_webhooks(self) -> None:
        schedules, webhooks = self.client.schedules, self.client.webhooks
        data = {"queue": QUEUE, "wellId": "EAST-2", "validationType": "integrity"}
        schedules.create({"name": "east", "cron": "15 5 * * *", "jobData": data})
        schedules.update("east", {"enabled": False})
        self.assertIn("east", [schedule["name"] for schedule in schedules.list()])
        schedules.delete("east")
        self.assertEqual(schedules.list(), [])
        webhooks.create({"url": "https://wells.example/in", "events": ["job.failed"]})
        [webhook] = webhooks.list()
        webhooks.delete(webhook["id"])
        self.assertEqual(webhooks.list(), [])

    def test_failures(self) -> None:
        with self.assertRaises(WellFlowError) as raised:
            self.client.jobs.add(QUEUE, {"data": {"wellId": 5}})
        self.assertEqual(raised.exception.code, "VALIDATION_ERROR")
        self.assertTrue(raised.exception.details)
        with self.assertRaises(WellFlowError) as raised:
            WellFlowClient(base_url=URL, token="wrong").jobs.get_stats()
        self.assertEqual(raised.exception.code, "AUTHENTICATION_ERROR")
        with self.assertRaises(WellFlowError) as raised:
            WellFlowClient(base_url="http://127.0.0.1:1", retries=1).jobs.get_stats()
        self.assertEqual(raised.exception.code, "NETWORK_ERROR")
        with self.assertRaises(ValueError):
            WellFlowClient(base_url="localhost:3001")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
