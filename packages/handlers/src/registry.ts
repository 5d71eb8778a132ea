import type { Handler } from "@jobyard/core";
import { dataExportHandler } from "./data-export/handler.ts";
import { dataValidationHandler } from "./data-validation/handler.ts";
import { emailNotificationsHandler } from "./email-notifications/handler.ts";
import { fileAnalysisHandler } from "./file-analysis/handler.ts";
import { fileProcessingHandler } from "./file-processing/handler.ts";
import {
  processBatchHandler,
  processRedoHandler,
  reprocessBatchHandler,
} from "./process-batch/handler.ts";
import { quoteCalculationHandler } from "./quote-calculation/handler.ts";
import { reportGenerationHandler } from "./report-generation/handler.ts";
import { securityScanHandler } from "./security-scan/handler.ts";
import { sentimentAnalysisBatchHandler } from "./sentiment-analysis-batch/handler.ts";
import type { HandlerDeps } from "./handler-deps.ts";

/** What runs the jobs of the typed queues. */
export function createHandlers(deps: HandlerDeps): readonly Handler[] {
  return [
    dataExportHandler(deps),
    dataValidationHandler(deps),
    emailNotificationsHandler(deps),
    fileAnalysisHandler(deps),
    fileProcessingHandler(deps),
    processBatchHandler(deps),
    processRedoHandler(deps),
    quoteCalculationHandler(deps),
    reportGenerationHandler(deps),
    reprocessBatchHandler(deps),
    securityScanHandler(deps),
    sentimentAnalysisBatchHandler,
  ];
}
