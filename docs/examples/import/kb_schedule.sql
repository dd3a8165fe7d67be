-- MySQL dump 10.13  Distrib 8.0.36, for Linux (x86_64)
/*!40101 SET NAMES utf8mb4 */;

CREATE TABLE `kb_schedule` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `title` varchar(255) NOT NULL COMMENT '스케줄 제목; 필수',
  `description` text COMMENT '스케줄 설명',
  `created_by_type` enum('headquarters','distributor','agency','branch') NOT NULL,
  `created_by_id` varchar(50) NOT NULL,
  `created_by_mb_id` varchar(50) NOT NULL,
  `target_room_id` varchar(100) NOT NULL,
  `target_room_type` enum('live','test') DEFAULT 'live',
  `message_text` text,
  `message_images` json,
  `send_order` enum('text_first','images_first','images_only','text_only') DEFAULT 'text_first',
  `send_interval_seconds` int(5) DEFAULT 1,
  `schedule_type` enum('once','weekly','daily') NOT NULL,
  `schedule_date` date NULL,
  `schedule_time` time NOT NULL,
  `schedule_weekdays` set('monday','tuesday','wednesday','thursday','friday','saturday','sunday') NULL,
  `valid_from` datetime NOT NULL,
  `valid_until` datetime NOT NULL,
  `status` enum('active','inactive','completed','error') DEFAULT 'active',
  `last_sent_at` datetime NULL,
  `next_send_at` datetime NULL,
  `send_count` int(11) DEFAULT 0,
  `created_at` datetime NOT NULL DEFAULT CURRENT_TIMESTAMP,
  `updated_at` datetime NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  PRIMARY KEY (`id`),
  KEY `idx_target_room` (`target_room_id`, `target_room_type`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

LOCK TABLES `kb_schedule` WRITE;
INSERT INTO `kb_schedule` VALUES
(1,'아침 공지',NULL,'headquarters','1','admin','hq-alerts','test','오늘도 \'안전\' 운행\n부탁드립니다; 감사합니다.',NULL,'text_first',1,'daily','0000-00-00','09:00:00','','2025-07-14 00:00:00','2990-12-31 23:59:59','active','2025-07-20 09:00:03','2025-07-21 09:00:00',7,'2025-07-13 10:00:00','2025-07-13 10:00:00'),
(2,'프로모션','7월 행사','branch','br_12','kim','gangnam-notice','test','이번 주 ''프로모션''','{\"images\": [{\"id\": 1, \"filename\": \"promotion_20250714_001.png\", \"original_name\": \"7월 프로모션.png\", \"file_path\": \"/data/bot_images/promotion_20250714_001.png\", \"file_size\": 245760, \"mime_type\": \"image/png\", \"upload_date\": \"2025-07-14 10:30:00\"}]}','text_first',2,'weekly',NULL,'11:30:00','monday,wednesday,friday','2025-07-14 00:00:00','2990-12-31 23:59:59','inactive',NULL,NULL,0,'2025-07-14 10:30:00','2025-07-14 10:30:00'),
(3,'개업 안내',NULL,'branch','br_12','kim','gangnam-notice','test','개업합니다',NULL,'text_only',1,'once','2025-07-15','10:00:00',NULL,'2025-07-14 00:00:00','2025-07-16 00:00:00','completed','2025-07-15 10:00:01',NULL,1,'2025-07-14 10:30:00','2025-07-15 10:00:01');
UNLOCK TABLES;

INSERT INTO `kb_schedule_logs` (`id`, `schedule_id`) VALUES (1, 3);
